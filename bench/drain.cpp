// What it costs to take a datagram that already waits: a queue is filled, then one contender drains it.

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "peers/asio_loop.hpp"
#include "peers/libevent_loop.hpp"
#include "peers/libuv_loop.hpp"
#include "peers/recvfrom_loop.hpp"
#include "peers/recvmmsg_loop.hpp"
#include "peers/recvmsg_loop.hpp"
#include "peers/udppump_loops.hpp"
#include "support/client.hpp"
#include "support/contenders.hpp"
#include "support/machine.hpp"
#include "support/options.hpp"
#include "support/queue_filler.hpp"
#include "support/summary.hpp"
#include "support/system.hpp"
#include "support/table.hpp"

namespace {

using namespace bench;
using udppump::waiter_kind;

constexpr const char* reference = "recvfrom";
constexpr const char* threaded_reference = "recvfrom-beside-thread";
constexpr const char* method =
    "A queue of 64-byte datagrams is filled through loopback, then drained through a handler that only counts. CPU "
    "time\n"
    "of the whole process while it drains, per datagram; every contender once in each repetition, in rotating order, "
    "on\n"
    "one processor. Median [quartiles]; ratios within the same repetition, to a bare recvfrom loop in a process of "
    "one\n"
    "thread, and in a process with another, sleeping thread, as the waiters thread and poll have one.";

/// Datagrams before the clock starts: everybody's buffers are touched, and batches of 20 and of 32 are complete.
constexpr std::size_t warm_up = 160;

struct stopwatch {
  std::size_t left;
  nanoseconds started{0}, stopped{0};
};

/// The trivial handler: counts, starts the clock after the warm-up, and stops it and the peer with the last datagram.
struct countdown {
  stopwatch* watch;
  std::size_t start_at;

  bool operator()(auto&) const {
    if (--watch->left == start_at) watch->started = cpu_time();
    if (watch->left > 0) return true;
    watch->stopped = cpu_time();
    return false;
  }
};

/// By itself for `valgrind --tool=callgrind --toggle-collect='*serve_filled_queue*'`.
[[gnu::noinline]] void serve_filled_queue(auto& peer) { peer.serve(); }

struct contender {
  std::string name;
  /// Drains `count` datagrams; CPU time a datagram, in ns.
  std::function<double(std::span<udppump::datagram_socket>, std::size_t count)> drain;
  std::vector<double> results = {};
};

template <template <class> class Peer>
contender with(std::string name, auto... setup) {
  return {std::move(name), [setup...](std::span<udppump::datagram_socket> sockets, std::size_t count) {
            stopwatch watch{.left = count};
            const std::size_t timed = count - std::min(warm_up, count / 2);
            Peer<countdown> peer{sockets, countdown{&watch, timed}, setup...};
            serve_filled_queue(peer);
            return static_cast<double>((watch.stopped - watch.started).count()) / static_cast<double>(timed);
          }};
}

std::vector<contender> all_contenders() {
  using udp_receive = libuv_loop<countdown>::receives_by;
  std::vector<contender> all{
      with<recvfrom_loop>(reference, waits_by::polling),
      with<recvfrom_loop_beside_thread>(threaded_reference, waits_by::polling),
      with<recvmsg_loop>("recvmsg"),
      with<recvmmsg_loop>("recvmmsg"),
      with<libevent_loop>("libevent"),
      with<libuv_loop>("libuv", udp_receive::recvmsg),
      with<libuv_loop>("libuv-recvmmsg", udp_receive::recvmmsg),
      with<asio_loop>("asio"),
  };
  for (const auto waiter : available_waiters()) {
    all.push_back(with<udppump_dispatch>(fmt::format("udppump-dispatch-{}", udppump::to_string(waiter)), waiter));
  }
  all.push_back(with<udppump_run>("udppump-run", waiter_kind::automatic));
  all.push_back(with<udppump_on_libevent>("udppump-libevent", waiter_kind::automatic));
  return all;
}

table results_of(const std::vector<contender>& contenders) {
  const auto results_by = [&](std::string_view name) {
    const auto found = std::ranges::find(contenders, name, &contender::name);
    return found == contenders.end() ? std::vector<double>{} : found->results;
  };
  const auto bare = results_by(reference), beside_thread = results_by(threaded_reference);
  table result{"drain", {{"ns/datagram", 0}, {"x recvfrom", 3}, {"x beside a thread", 3}}};
  for (const auto& each : contenders) {
    result.add(each.name, {summary_cell(each.results), summary_cell(ratios(each.results, bare)),
                           summary_cell(ratios(each.results, beside_thread))});
  }
  return result;
}

int drain(int argc, char** argv) {
  CLI::App app{"Cost of draining a filled queue"};
  options chosen;
  std::size_t datagrams = 4096, payload = 64;
  add_options(app, chosen);
  add_repetitions(app, chosen, 101);
  app.add_option("--datagrams", datagrams, "How many wait at most")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--payload", payload, "Bytes in each")->check(CLI::Range(0, 65'507))->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  settle(app, chosen, 5);

  print_heading("drain: cost of taking a datagram that waits", method);
  auto contenders = all_contenders();
  select(contenders, chosen);
  if (contenders.empty()) return EXIT_SUCCESS;

  const int processor = pin_to_one_processor();
  std::vector<udppump::datagram_socket> sockets;
  sockets.push_back(bind_loopback(64 << 20));
  queue_filler filler{sockets.front(), payload, datagrams};
  print_run(fmt::format("{} repetitions, {} datagrams of {} bytes in each (receive buffer {} bytes), processor {}",
                        chosen.repetitions, filler.capacity(), payload, sockets.front().receive_buffer().granted,
                        processor));

  const auto measure = [&](const contender& each) {
    give_up_after(std::chrono::seconds{30});
    return each.drain(sockets, filler.fill());
  };
  for (const auto& each : contenders) measure(each);  // first touch of everybody's memory
  interleave(contenders, chosen.repetitions, [&](contender& each) { each.results.push_back(measure(each)); });

  const table result = results_of(contenders);
  result.print();
  write_json(chosen.json, {result});
  return EXIT_SUCCESS;
}

}  // namespace

int main(int argc, char** argv) { return bench::guarded(drain, argc, argv); }
