#include "load/run/answer_receiver.hpp"

#include <sys/epoll.h>
#include <unistd.h>

#include <optional>
#include <span>
#include <system_error>
#include <thread>

#include "load/run/paced_sender.hpp"
#include "load/run/system.hpp"

namespace udppump::load {

namespace {

/// Short beside how long a receive buffer of flow_sockets lasts.
constexpr std::chrono::milliseconds gathering{1};

}  // namespace

answer_receiver::answer_receiver(const flow_sockets& flows)
    : flows_{flows}, epoll_{check_call(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1")}, heads_(batch) {
  for (std::uint32_t flow = 0; flow < flows.size(); ++flow) {
    epoll_event event{.events = EPOLLIN, .data = {.u32 = flow}};
    if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, flows[flow].fd(), &event) == 0) continue;
    const int error = errno;
    ::close(epoll_);
    throw failed_call("epoll_ctl", code_of_errno(error));
  }
}

answer_receiver::~answer_receiver() { ::close(epoll_); }

const std::vector<answer_receiver::arrival>& answer_receiver::receive(std::chrono::milliseconds up_to) {
  arrivals_.clear();
  if (next_ready_ == ready_.size()) wait(up_to);
  if (next_ready_ < ready_.size()) drain(ready_[next_ready_++]);
  return arrivals_;
}

void answer_receiver::wait(std::chrono::milliseconds up_to) {
  // Not in epoll_wait(), where each arrival would wake it.
  if (!ready_.empty()) std::this_thread::sleep_for(gathering);
  ready_.clear();
  next_ready_ = 0;
  std::array<epoll_event, flows_at_once> events;
  const int count =
      repeat([&] { return ::epoll_wait(epoll_, events.data(), events.size(), static_cast<int>(up_to.count())); });
  check_call(count, "epoll_wait");
  for (const auto& each : std::span{events}.first(static_cast<std::size_t>(count))) ready_.push_back(each.data.u32);
}

void answer_receiver::drain(std::uint32_t flow) {
  const nanoseconds wall_ahead = wall_ahead_of_monotonic();
  for (auto& head : heads_) {
    const auto came = flows_[flow].receive(head);
    if (came.error == std::errc::resource_unavailable_try_again) return;
    if (came.error) {
      if (!is_icmp_error(came.error.value())) throw failed_call("receiving answers", came.error);
      ++icmp_errors_;
      last_icmp_error_ = came.error.value();
      return;
    }
    const nanoseconds now = monotonic_now();
    const auto stamped = came.receive_time ? std::optional{came.receive_time->time_since_epoch()} : std::nullopt;
    arrivals_.push_back({.flow = flow,
                         // Should the wall clock have been set since the datagram came, now is the better answer.
                         .at = stamped && *stamped - wall_ahead <= now ? *stamped - wall_ahead : now,
                         .head = came.payload,
                         .size = came.real_size});
  }
}

}  // namespace udppump::load
