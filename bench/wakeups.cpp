// What it costs to wake one of many idle workers: one datagram at a time, sent when all of them wait.

#include <fmt/format.h>
#include <sys/epoll.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "peers/epoll_loop.hpp"
#include "peers/libevent_loop.hpp"
#include "peers/recvfrom_loop.hpp"
#include "peers/udppump_loops.hpp"
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
    "Worker processes share one socket and wait. A client sends 64 bytes, blocks until one worker has answered, "
    "pauses\n"
    "until all wait again, and so on. Round trip as the client sees it; voluntary context switches of all threads of "
    "all\n"
    "workers (proc(5)) per datagram; wake-ups that found nothing, per datagram, where the worker knows. New workers "
    "in\n"
    "each repetition; every contender once in each, in rotating order. Client and workers on one processor (unless\n"
    "--spread): a round trip is then two context switches and what is done between, without waking a processor that\n"
    "sleeps. Median [quartiles] over the repetitions.";

struct run {
  std::size_t workers = 8, datagrams = 1000, pause_us = 300;
  bool spread = false;
};

struct result_list {
  std::vector<double> p50, p99, switches, empty;
};

struct contender {
  std::string name;
  /// What each worker process does.
  std::function<void(std::span<udppump::datagram_socket>, worker_note&)> serve;
  result_list results = {};
};

template <template <class> class Peer>
contender with(std::string name, auto... setup) {
  return {std::move(name), [setup...](std::span<udppump::datagram_socket> sockets, worker_note& note) {
            Peer<echo_handler> peer{sockets, echo_handler{}, setup...};
            peer.serve();
            if constexpr (requires { peer.wakes(); })
              note.empty_wakeups = static_cast<std::int64_t>(peer.wakes().empty);
          }};
}

std::vector<contender> all_contenders() {
  std::vector<contender> all{
      with<recvfrom_loop>(reference, waits_by::blocking),
      with<epoll_loop>("epoll"),
      with<epoll_loop>("epoll-exclusive", std::uint32_t{EPOLLEXCLUSIVE}),
      with<libevent_loop>("libevent"),
  };
  for (const auto waiter : available_waiters()) {
    const auto name = udppump::to_string(waiter);
    all.push_back(with<udppump_run>(fmt::format("udppump-run-{}", name), waiter));
    all.push_back(with<udppump_on_libevent>(fmt::format("udppump-libevent-{}", name), waiter));
  }
  return all;
}

/// Sends datagrams one at a time, each into a pool of workers that all wait; round trips in microseconds.
std::vector<double> round_trips(const udppump::address& server, std::size_t count, std::size_t pause_us) {
  const std::string payload(64, 'q');
  client client;
  std::vector<double> times;
  for (std::size_t i = 0; i < count; ++i) {
    std::this_thread::sleep_for(std::chrono::microseconds{pause_us});
    const auto sent = wall_time();
    client.send(payload, server);
    if (!client.receive()) throw std::runtime_error{"no answer within a second"};
    times.push_back(static_cast<double>((wall_time() - sent).count()) / 1e3);
  }
  return times;
}

void measure(contender& each, const run& chosen) {
  give_up_after(std::chrono::seconds{60});
  std::vector<udppump::datagram_socket> sockets;
  sockets.push_back(bind_loopback());
  const auto server = sockets.front().local();
  worker_processes workers{chosen.workers, [&](worker_note& note) { each.serve(sockets, note); }};
  workers.wait_until_parked();
  round_trips(server, chosen.datagrams / 10, chosen.pause_us);
  workers.wait_until_parked();

  const auto before = workers.voluntary_switches();
  const auto times = round_trips(server, chosen.datagrams, chosen.pause_us);
  workers.wait_until_parked();
  const auto switches = static_cast<double>(workers.voluntary_switches() - before);
  workers.finish(server);

  const auto sent = static_cast<double>(chosen.datagrams);
  each.results.p50.push_back(percentile(times, 0.50));
  each.results.p99.push_back(percentile(times, 0.99));
  each.results.switches.push_back(switches / sent);
  std::int64_t empty = 0;
  for (const auto& note : workers.notes()) {
    if (note.empty_wakeups < 0) return;
    empty += note.empty_wakeups;
  }
  const auto served = static_cast<double>(chosen.datagrams / 10 + chosen.datagrams);
  each.results.empty.push_back(static_cast<double>(empty) / served);
}

table results_of(const std::vector<contender>& contenders) {
  const auto found = std::ranges::find(contenders, reference, &contender::name);
  const auto bare = found == contenders.end() ? std::vector<double>{} : found->results.p50;
  table result{"wakeups",
               {{"p50 us", 1}, {"x recvfrom", 2}, {"p99 us", 1}, {"switches/datagram", 3}, {"empty wake-ups", 3}}};
  for (const auto& each : contenders) {
    const auto& got = each.results;
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
  add_repetitions(app, chosen, 9);
  app.add_option("--workers", sizes.workers, "Idle processes on the socket")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  auto* const datagrams = app.add_option("--datagrams", sizes.datagrams, "Round trips in a repetition")
                              ->check(CLI::Range(10, 1'000'000))
                              ->capture_default_str();
  app.add_option("--pause-us", sizes.pause_us, "Between an answer and the next datagram")->capture_default_str();
  app.add_flag("--spread", sizes.spread, "Let the kernel place client and workers on any processor");
  CLI11_PARSE(app, argc, argv);
  settle(app, chosen, 3);
  if (chosen.quick && datagrams->count() == 0) sizes.datagrams = 100;

  print_heading("wakeups: cost of waking one of many idle workers", method);
  auto contenders = all_contenders();
  select(contenders, chosen);
  if (contenders.empty()) return EXIT_SUCCESS;
  const std::string place = sizes.spread ? "any processor" : fmt::format("processor {}", pin_to_one_processor());
  print_run(fmt::format("{} repetitions, {} workers, {} datagrams in each, {} us apart, {}", chosen.repetitions,
                        sizes.workers, sizes.datagrams, sizes.pause_us, place));

  interleave(contenders, chosen.repetitions, [&](contender& each) { measure(each, sizes); });

  const table result = results_of(contenders);
  result.print();
  write_json(chosen.json, {result});
  return EXIT_SUCCESS;
}

}  // namespace

int main(int argc, char** argv) { return bench::guarded(wakeups, argc, argv); }
