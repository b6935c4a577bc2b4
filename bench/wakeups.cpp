// What it costs to wake one of many idle workers: one datagram at a time, sent when all of them wait.

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/epoll.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "peers/asio_loop.hpp"
#include "peers/epoll_loop.hpp"
#include "peers/libevent_loop.hpp"
#include "peers/libuv_loop.hpp"
#include "peers/recvfrom_loop.hpp"
#include "peers/recvmmsg_loop.hpp"
#include "peers/seed_2006_loop.hpp"
#include "peers/udppump_loops.hpp"
#include "peers/uring_multishot_loop.hpp"
#include "support/client.hpp"
#include "support/contenders.hpp"
#include "support/machine.hpp"
#include "support/options.hpp"
#include "support/summary.hpp"
#include "support/system.hpp"
#include "support/table.hpp"
#include "support/worker_processes.hpp"

namespace {

using namespace bench;

constexpr const char* reference = "recvfrom-blocked";
constexpr const char* method =
    "k worker processes share one socket (reuseport-epoll: a socket each) and wait. A client sends 64 bytes, blocks\n"
    "until one worker has answered, pauses until all wait again, and so on. Round trip as the client sees it;\n"
    "voluntary context switches of all threads of all workers (proc(5)) per datagram; wake-ups that found nothing,\n"
    "per datagram, if the worker knows them. New workers in each repetition; every contender once in each, in "
    "rotating\n"
    "order. Client and workers on one processor (unless --spread): a round trip is then two context switches and what\n"
    "is done between, without waking a processor that sleeps. Median [quartiles] over the repetitions.";

struct run {
  std::vector<std::size_t> workers{1, 2, 8, 32, 64};
  std::size_t datagrams = 500, pause_us = 300;
  bool spread = false;
};

struct result_list {
  std::vector<double> p50, p99, switches, empty;
};

struct contender {
  std::string name;
  /// What each worker process does.
  std::function<void(std::span<udppump::datagram_socket>, worker_note&)> serve;
  /// The peer counts the wake-ups that found nothing, and tells at its end.
  bool counts_empty;
  /// Each worker has a socket of its own.
  bool sharded = false;
  std::map<std::size_t, result_list> results = {};
};

template <template <class> class Peer>
contender with(std::string name, auto... setup) {
  constexpr bool counts_empty = requires(Peer<echo_handler> & peer) { peer.wakes(); };
  return {.name = std::move(name),
          .serve =
              [setup...](std::span<udppump::datagram_socket> sockets, worker_note& note) {
                Peer<echo_handler> peer{sockets, echo_handler{}, setup...};
                peer.serve();
                if constexpr (counts_empty) note.empty_wakeups = static_cast<std::int64_t>(peer.wakes().empty);
              },
          .counts_empty = counts_empty};
}

contender with_a_socket_each(contender shared) {
  shared.sharded = true;
  shared.counts_empty = false;  // it cannot be told to end: whose socket a datagram reaches is up to the kernel
  return shared;
}

std::vector<contender> all_contenders() {
  using udp_receive = libuv_loop<echo_handler>::receives_by;
  std::vector<contender> all{
      with<recvfrom_loop>(reference, waits_by::blocking),
      with<recvmmsg_loop>("recvmmsg"),
      with<epoll_loop>("epoll"),
      with<epoll_loop>("epoll-exclusive", std::uint32_t{EPOLLEXCLUSIVE}),
      with_a_socket_each(with<epoll_loop>("reuseport-epoll")),
      with<libevent_loop>("libevent"),
      with<libuv_loop>("libuv", udp_receive::recvmsg),
      with<asio_loop>("asio"),
      with<seed_2006_loop>("seed-2006"),
  };
  const auto waiters = available_waiters();
  if (std::ranges::find(waiters, udppump::waiter_kind::uring) != waiters.end()) {
    all.push_back(with<uring_multishot_loop>("uring-multishot"));
  }
  for (const auto waiter : waiters) {
    const auto name = udppump::to_string(waiter);
    all.push_back(with<udppump_run>(fmt::format("udppump-run-{}", name), waiter));
    if (waiter == udppump::waiter_kind::epoll) {
      all.push_back(with<udppump_run>(fmt::format("udppump-run-{}-max_age", name), waiter, std::chrono::hours{1}));
    }
    if (!serves_event_loops(waiter)) continue;
    all.push_back(with<udppump_on_libevent>(fmt::format("udppump-libevent-{}", name), waiter));
  }
  return all;
}

std::vector<udppump::datagram_socket> bind_for(const contender& each, std::size_t workers) {
  std::vector<udppump::datagram_socket> sockets;
  auto where = udppump::address::parse("127.0.0.1:0");
  for (std::size_t i = 0; i < (each.sharded ? workers : 1); ++i) {
    const udppump::socket_options options{.reuse_port = each.sharded};
    where = sockets.emplace_back(udppump::datagram_socket::bind(where, options)).local();
  }
  return sockets;
}

void measure(contender& each, std::size_t count, const run& chosen) {
  give_up_after(std::chrono::seconds{60});
  auto sockets = bind_for(each, count);
  const auto server = sockets.front().local();
  // A herd of 64 takes most of a millisecond to lie down again.
  const std::chrono::microseconds pause{std::max(chosen.pause_us, 15 * count)};
  worker_processes workers{count, [&](worker_note& note) {
                             each.serve(std::span{sockets}.subspan(each.sharded ? note.number : 0, 1), note);
                           }};
  workers.wait_until_parked();
  round_trips(server, chosen.datagrams / 10, pause);
  workers.wait_until_parked();

  const auto before = workers.voluntary_switches();
  const auto times = round_trips(server, chosen.datagrams, pause);
  workers.wait_until_parked();
  const auto switches = static_cast<double>(workers.voluntary_switches() - before);

  const auto sent = static_cast<double>(chosen.datagrams);
  result_list& results = each.results[count];
  results.p50.push_back(percentile(times, 0.50));
  results.p99.push_back(percentile(times, 0.99));
  results.switches.push_back(switches / sent);
  if (!each.counts_empty) return;
  workers.finish(server);
  std::int64_t empty = 0;
  for (const auto& note : workers.notes()) {
    if (note.empty_wakeups < 0) return;
    empty += note.empty_wakeups;
  }
  const auto served = static_cast<double>(chosen.datagrams / 10 + chosen.datagrams);
  results.empty.push_back(static_cast<double>(empty) / served);
}

table results_of(std::vector<contender>& contenders, std::size_t workers) {
  const auto found = std::ranges::find(contenders, reference, &contender::name);
  const auto bare = found == contenders.end() ? std::vector<double>{} : found->results[workers].p50;
  table result{fmt::format("wakeups, k={}", workers),
               {{"p50 us", 1}, {"x recvfrom", 2}, {"p99 us", 1}, {"switches/datagram", 3}, {"empty wake-ups", 3}}};
  for (auto& each : contenders) {
    const auto& got = each.results[workers];
    result.add(each.name, {summary_cell(got.p50), summary_cell(ratios(got.p50, bare)), summary_cell(got.p99),
                           summary_cell(got.switches), summary_cell(got.empty)});
  }
  return result;
}

int wakeups(int argc, char** argv) {
  CLI::App app{"Cost of waking one of many idle workers"};
  options chosen;
  run sizes;
  add_options(app, chosen);
  add_repetitions(app, chosen, 5);
  app.add_option("--workers", sizes.workers, "Idle processes on the socket, one table each")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  auto* const datagrams = app.add_option("--datagrams", sizes.datagrams, "Round trips in a repetition")
                              ->check(CLI::Range(10, 1'000'000))
                              ->capture_default_str();
  app.add_option("--pause-us", sizes.pause_us, "Between an answer and the next datagram, at least")
      ->capture_default_str();
  app.add_flag("--spread", sizes.spread, "Let the kernel place client and workers on any processor");
  CLI11_PARSE(app, argc, argv);
  settle(app, chosen, 1);
  if (chosen.quick && datagrams->count() == 0) sizes.datagrams = 20;

  print_heading("wakeups: cost of waking one of many idle workers", method);
  auto contenders = all_contenders();
  select(contenders, chosen);
  if (contenders.empty()) return EXIT_SUCCESS;
  const std::string place = sizes.spread ? "any processor" : fmt::format("processor {}", pin_to_one_processor());
  print_run(fmt::format("{} repetitions, {} workers, {} datagrams in each, {} us apart, {}", chosen.repetitions,
                        fmt::join(sizes.workers, "/"), sizes.datagrams, sizes.pause_us, place));

  interleave(contenders, chosen.repetitions, [&](contender& each) {
    for (const auto workers : sizes.workers) measure(each, workers, sizes);
  });

  std::vector<table> tables;
  for (const auto workers : sizes.workers) tables.push_back(results_of(contenders, workers));
  for (const auto& each : tables) each.print();
  write_json(chosen.json, tables);
  return EXIT_SUCCESS;
}

}  // namespace

int main(int argc, char** argv) { return bench::guarded(wakeups, argc, argv); }
