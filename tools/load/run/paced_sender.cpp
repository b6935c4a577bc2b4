#include "load/run/paced_sender.hpp"

#include <pthread.h>
#include <sched.h>
#include <sys/socket.h>

#include <algorithm>
#include <system_error>
#include <thread>

#include "load/run/system.hpp"

namespace udppump::load {
namespace {

using namespace std::chrono_literals;

void take_priority(realtime wanted) {
  if (wanted == realtime::off) return;
  const sched_param lowest{.sched_priority = 1};
  const int error = ::pthread_setschedparam(::pthread_self(), SCHED_FIFO | SCHED_RESET_ON_FORK, &lowest);
  if (error == 0 || wanted == realtime::automatic) return;
  throw failure{code_of_errno(error), "--realtime on",
                "it needs CAP_SYS_NICE or a limit of RLIMIT_RTPRIO (ulimit -r) of at least 1"};
}

}  // namespace

bool is_icmp_error(int error) noexcept {
  return error == ECONNREFUSED || error == EHOSTUNREACH || error == ENETUNREACH || error == EPROTO ||
         error == EHOSTDOWN || error == ENONET;
}

void paced_sender::send(request_plan plan, nanoseconds start, const std::stop_token& stop) {
  take_priority(options_.priority);
  ask_for_exact_timers();
  constexpr nanoseconds longest_sleep = 50ms;  // how long a stop may take
  punctual_sleep sleep{options_.spin_limit};
  std::vector<std::byte> space(largest_payload);
  std::vector<std::uint64_t> sequences(flows_.size());
  while (const auto planned = plan.next()) {
    const nanoseconds due = start + planned->intended;
    while (due - monotonic_now() > 2 * longest_sleep && !stop.stop_requested()) {
      std::this_thread::sleep_for(longest_sleep);
    }
    if (stop.stop_requested()) return;
    const bytes_view payload = requests_.make(*planned, sequences[planned->flow]++, space);
    sleep.until(due);
    const nanoseconds lag = monotonic_now() - due;
    gave_up_ = lag > options_.longest_lag;
    if (gave_up_) return;
    last_sent_ = planned->intended + lag;
    sender_note note{.request = {.plan = *planned, .lag = lag}};
    tell(note, stop);
    if (planned->intended >= options_.warmup) lag_.add(lag);
    if (deliver(planned->flow, payload)) continue;
    note.what = sender_note::kind::unsent;
    tell(note, stop);
  }
}

/// The receiver takes the notes every few milliseconds, unless it has gone, which it asks to stop for.
void paced_sender::tell(const sender_note& note, const std::stop_token& stop) const noexcept {
  while (!notes_.push(note) && !stop.stop_requested()) std::this_thread::yield();
}

bool paced_sender::deliver(std::uint32_t flow, bytes_view payload) noexcept {
  for (int attempt = 0; attempt < 2; ++attempt) {
    if (repeat([&] { return ::send(flows_[flow].fd(), payload.data(), payload.size(), MSG_DONTWAIT); }) >= 0) {
      return true;
    }
    last_error_ = errno;
    // An ICMP error is about an earlier datagram, and takes the place of this one's sending (udp(7)): once more.
    if (!is_icmp_error(last_error_)) return false;
    ++icmp_errors_;
  }
  return false;
}

}  // namespace udppump::load
