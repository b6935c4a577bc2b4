// What clients still get when they ask for more than the workers can do.

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "load/plan/work_message.hpp"
#include "load/run/work_run.hpp"
#include "support/client.hpp"
#include "support/contenders.hpp"
#include "support/exec_service.hpp"
#include "support/left_out.hpp"
#include "support/machine.hpp"
#include "support/options.hpp"
#include "support/peer_workers.hpp"
#include "support/queue_filler.hpp"
#include "support/summary.hpp"
#include "support/system.hpp"
#include "support/table.hpp"

namespace {

using namespace bench;
using namespace std::chrono_literals;
using udppump::load::nanoseconds;

constexpr std::size_t workers = 8;
constexpr auto deadline = 50ms;
constexpr auto mean_service = 1ms;
constexpr std::size_t large_buffer = 4 << 20;
/// Of workers in Python, who need longer for all else.
constexpr auto python_mean_service = 5ms;
/// Answers a second, of workers that do nothing but work.
constexpr double capacity_at(nanoseconds mean) { return workers / std::chrono::duration<double>{mean}.count(); }
const std::vector<double> loads{1.2, 2, 4};

constexpr const char* method =
    "8 workers on one socket (reuseport-epoll: a socket each) sleep for an exponential time, 1 ms in the mean, for "
    "each\n"
    "request, and answer: 8000 a second at most. A client asks for 1.2, 2 and 4 times as many at random times "
    "(Poisson,\n"
    "64 flows), whatever the answers do. Goodput: answers that arrive within 50 ms of the time at which the request "
    "was\n"
    "to be sent, a second, as a share of those 8000; counted after a warm-up, when the queue has grown. The receive\n"
    "buffers have 4 MiB in all (twice that for the kernel, which counts its own structures), several thousand "
    "requests:\n"
    "what fits waits long beyond the deadline. udppump-max_age-0.75 drops what has waited longer than 0.75 of the\n"
    "deadline (pump_options::max_age), udppump-max_age-1 what has waited longer than all of it.\n"
    "recvfrom-bounded has a receive buffer that holds no more requests than the workers do in 0.75 of the deadline.\n"
    "exec-python is `udppump exec` with workers in Python, which sleep for 5 ms in the mean, so that they can answer\n"
    "1600 a second at most; exec-python-max-wait-0.5 has --max-wait at half the deadline.\n"
    "A run is left out if the load really offered differs from the one asked for by more than a tenth. Median "
    "[quartiles]\n"
    "over the repetitions.";

/// Until --max-wait has the receive buffer that fits what is served, and what waited in a larger one is gone.
constexpr std::chrono::milliseconds time_to_adapt = 1500ms;

struct contender {
  std::string name;
  bench::peer peer = {};
  peer_workers_options serving = {};
  /// Instead of a peer: the options of `udppump exec`, whose workers are in Python.
  std::vector<std::string> exec = {};
  nanoseconds mean = mean_service;
  /// By load; a run in which that load was not really offered is not there.
  std::map<double, std::vector<double>> goodput = {};
  /// Of the answers, within the deadline or not, milliseconds.
  std::map<double, std::vector<double>> p50 = {}, p99 = {};
  counted_runs runs = {};
};

/// SO_RCVBUF that holds what all workers do in a time.
std::size_t buffer_for(nanoseconds time) {
  const auto probe = bind_loopback();
  const auto charge = static_cast<double>(queue_filler{probe, udppump::load::work_message_size, 1}.charge());
  const double requests = capacity_at(mean_service) * std::chrono::duration<double>{time}.count();
  return static_cast<std::size_t>(requests * charge / 2);  // the kernel doubles it: socket(7)
}

std::vector<contender> all_contenders() {
  const peer_workers_options in_order{.workers = workers, .handler = "work", .receive_buffer = large_buffer};
  std::vector<contender> all;
  for (const auto& peer : peers_named({"recvfrom-blocked", "reuseport-epoll", "udppump-run-epoll"})) {
    all.push_back({peer.name, peer, in_order});
  }
  for (const auto& peer : peers_named({"udppump-run-epoll"})) {
    for (const double share : {0.75, 1.0}) {
      auto by_age = in_order;
      by_age.handler = fmt::format("work:max_age:{:.0f}us", share * std::chrono::microseconds{deadline}.count());
      all.push_back({fmt::format("udppump-max_age-{}", share), peer, by_age});
    }
  }
  for (const auto& peer : peers_named({"recvfrom-blocked"})) {
    auto bounded = in_order;
    bounded.receive_buffer = buffer_for(deadline * 3 / 4);
    all.push_back({"recvfrom-bounded", peer, bounded});
  }
  if (const std::string why = why_no_exec_service(); !why.empty()) {
    print_left_out("exec-python", why);
    return all;
  }
  std::vector<std::string> exec{
      "--workers", std::to_string(workers), "--receive-buffer", std::to_string(large_buffer), "--ready-after", "300ms"};
  all.push_back({.name = "exec-python", .exec = exec, .mean = python_mean_service});
  exec.insert(exec.end(), {"--max-wait", fmt::format("{}ms", std::chrono::milliseconds{deadline / 2}.count())});
  all.push_back({.name = "exec-python-max-wait-0.5", .exec = exec, .mean = python_mean_service});
  return all;
}

struct run {
  /// Of the warm-up, and of what is measured after it.
  std::chrono::milliseconds length{1000};
  /// So long after the last request the run is over; answers later than twice this are not seen.
  std::chrono::milliseconds timeout{500};
};

udppump::load::work_run ask(const udppump::address& server, nanoseconds mean, nanoseconds warm_up, double load,
                            const run& chosen, std::size_t repetition, const std::function<std::uint64_t()>& switches) {
  return udppump::load::run_work(
      {.run = {.target = server,
               .plan = {.length = chosen.length,
                        .flows = 64,
                        .service = {.kind = udppump::load::service_kind::exponential, .mean = mean},
                        .seed = 1 + repetition},
               .warmup = warm_up,
               .timeout = chosen.timeout,
               .priority = udppump::load::realtime::automatic,
               .keep_records = true},
       .workers = workers,
       .load = load},
      switches);
}

void measure(contender& each, double load, const run& chosen, std::size_t repetition) {
  give_up_after(60s);
  const nanoseconds warm_up = each.exec.empty() ? chosen.length : std::max(chosen.length, time_to_adapt);
  const auto got = [&] {
    if (!each.exec.empty()) {
      const exec_service served{each.exec};
      return ask(served.server(), each.mean, warm_up, load, chosen, repetition, [] { return std::uint64_t{0}; });
    }
    peer_workers served{each.peer, each.serving};
    return ask(served.server(), each.mean, warm_up, load, chosen, repetition,
               [&] { return served.processes().voluntary_switches(); });
  }();
  if (!each.runs.add(got.found)) return;
  const auto in_time = std::ranges::count_if(got.result.records, [&](const auto& request) {
    return request.intended >= warm_up && request.latency <= deadline;
  });
  const std::chrono::duration<double> measured = got.result.measured;
  each.goodput[load].push_back(static_cast<double>(in_time) / measured.count() / capacity_at(each.mean));
  // Without those that were never answered.
  if (got.result.latency.count() > 0) {
    each.p50[load].push_back(static_cast<double>(got.result.latency.percentile(50).count()) / 1e6);
    each.p99[load].push_back(static_cast<double>(got.result.latency.percentile(99).count()) / 1e6);
  }
}

using figure = std::map<double, std::vector<double>> contender::*;

table table_of(const std::vector<contender>& contenders, const char* what, int precision, figure of) {
  std::vector<table::column> columns;
  for (const double load : loads) columns.push_back({fmt::format("{}x", load), precision});
  table result{fmt::format("overload: {}", what), columns};
  for (const auto& each : contenders) {
    std::vector<table::cell> row;
    for (const double load : loads) {
      const auto found = (each.*of).find(load);
      row.push_back(found == (each.*of).end() ? table::cell{} : summary_cell(found->second));
    }
    result.add(each.name, row);
  }
  return result;
}

int overload(int argc, char** argv) {
  CLI::App app{"Answers in time when more is asked than can be done"};
  options chosen;
  unsigned milliseconds = 800;
  add_options(app, chosen);
  add_repetitions(app, chosen, 5);
  app.add_option("--ms", milliseconds, "How long each run is measured, and how long the warm-up before is")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  settle(app, chosen, 1);
  if (chosen.quick && app.count("--ms") == 0) milliseconds = 100;
  run sizes{.length = std::chrono::milliseconds{milliseconds}};
  if (chosen.quick) sizes.timeout = 100ms;

  print_heading("overload: more is asked than can be done", method);
  auto contenders = all_contenders();
  select(contenders, chosen);
  if (contenders.empty()) return EXIT_SUCCESS;
  auto told = fmt::format("{} repetitions of {} ms after a warm-up as long", chosen.repetitions, milliseconds);
  const auto bounded = std::ranges::find(contenders, "recvfrom-bounded", &contender::name);
  if (bounded != contenders.end()) {
    told += fmt::format("; recvfrom-bounded's receive buffer: {} bytes", bounded->serving.receive_buffer);
  }
  print_run(told);
  std::fflush(stdout);

  for (std::size_t repetition = 0; repetition < chosen.repetitions; ++repetition) {
    for (const double load : loads) {
      for (std::size_t turn = 0; turn < contenders.size(); ++turn) {
        measure(contenders[(repetition + turn) % contenders.size()], load, sizes, repetition);
      }
    }
  }

  for (const auto& each : contenders) each.runs.tell(each.name);
  const std::vector<table> tables{
      table_of(contenders, "goodput / capacity", 3, &contender::goodput),
      table_of(contenders, "median of what was answered within a second, ms", 1, &contender::p50),
      table_of(contenders, "p99 of what was answered within a second, ms", 1, &contender::p99),
  };
  for (const auto& each : tables) each.print();
  write_json(chosen.json, tables);
  return EXIT_SUCCESS;
}

}  // namespace

int main(int argc, char** argv) { return bench::guarded(overload, argc, argv); }
