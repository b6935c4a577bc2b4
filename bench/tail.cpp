// How long requests wait at many workers, beside the queue that nobody can beat.

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include "load/run/work_run.hpp"
#include "support/contenders.hpp"
#include "support/left_out.hpp"
#include "support/machine.hpp"
#include "support/options.hpp"
#include "support/peer_workers.hpp"
#include "support/system.hpp"
#include "tail_cells.hpp"
#include "tail_mixes.hpp"
#include "tail_tables.hpp"

namespace {

using namespace bench;
using namespace std::chrono_literals;
using udppump::load::service_times;

constexpr const char* method =
    "A client sends requests at random times (Poisson), whatever the answers do, each from one of many flows; k "
    "worker\n"
    "processes on one socket (reuseport-epoll: a socket each) sleep for as long as each asks for, 1 ms in the mean, "
    "and\n"
    "answer. Latency is from the time at which a request was to be sent to the time at which the kernel received the\n"
    "answer. The ideal queue is simulated on the same trace: first come first served, any idle worker at once, the\n"
    "service times that were really used, and nothing else takes time. Each repetition has a trace of its own, the "
    "same\n"
    "for all; contenders in rotating order, new processes for each run. A run is left out if the 99th percentile "
    "of\n"
    "the sender's lag is more than a tenth of the latency's, or if the load really offered (by the rate at which "
    "requests\n"
    "left and the service times really used) differs from the one asked for by more than a tenth. If so many answers "
    "are missing that a percentile has\n"
    "none, twice the timeout stands for it: it is at least that. Median [quartiles] over the repetitions.\n"
    "Mixes (90/10: so many of 0.5 ms and of 50 ms): requests are told apart by what they ask for; lanes have a queue "
    "for\n"
    "each kind and workers for the short ones alone (an eighth of all, or as many as leave the long ones 95% load), "
    "and\n"
    "are simulated at no cost as well (ideal lanes). All repetitions together. Slowdown: latency over own service "
    "time.";

constexpr auto timeout = 1s;

struct run {
  std::chrono::milliseconds length{1000};
  bool full = false;
  udppump::load::realtime sender = udppump::load::realtime::automatic;
};

std::vector<contender> all_contenders(const run& chosen) {
  std::vector<contender> all;
  for (const auto& peer :
       peers_named({"udppump-run-epoll", reference, "reuseport-epoll", "udppump-run-uring", "udppump-libevent-uring",
                    "epoll-exclusive", "epoll", "libevent", "seed-2006"})) {
    all.push_back({peer.name, peer, chosen.full || all.size() < 3});
  }
  return all;
}

void measure(contender& each, const cell& cell, std::size_t repetition, const run& chosen) {
  give_up_after(60s);
  peer_workers served{each.peer, {.workers = cell.where.workers, .handler = "work"}};
  const auto got = udppump::load::run_work({.run = {.target = served.server(),
                                                    .plan = {.length = chosen.length,
                                                             .flows = cell.where.flows,
                                                             .service = service_times::parse(cell.where.times + ":1ms"),
                                                             .seed = 1 + repetition},
                                                    .warmup = chosen.length / 5,
                                                    .timeout = timeout,
                                                    .priority = chosen.sender},
                                            .workers = cell.where.workers,
                                            .load = cell.load / 100.0},
                                           [&] { return served.processes().voluntary_switches(); });
  if (!each.runs[cell].add(got.found)) return;
  constexpr double longest = 2 * std::chrono::duration<double>{timeout}.count();
  const auto latency = [&](double percent) { return 1e3 * std::min(got.latency(percent), longest); };
  const auto ideal = [&](double percent) { return 1e3 * got.ideal_latency(percent); };
  each.results[cell][repetition] = {
      latency(50),  latency(99), latency(99.9), ideal(50), ideal(99), ideal(99.9), got.switches_per_datagram,
      got.goodput()};
}

/// Says how many runs do not count, and why.
void tell_left_out(const std::vector<contender>& contenders) {
  counted_runs all;
  for (const auto& each : contenders) {
    for (const auto& [cell, runs] : each.runs) all.add(runs);
  }
  all.tell();
}

/// The contenders of mixes that --only names: if it names none of one kind, that kind is not measured at all.
std::vector<std::string> select_with_mixes(std::vector<contender>& contenders, options& chosen) {
  std::vector<std::string> of_mixes;
  for (const auto& name : mixes_contenders()) {
    if (chosen.list) fmt::print("{}\n", name);
    if (chosen.wants(name)) of_mixes.push_back(name);
  }
  options others = chosen;
  std::erase_if(others.only, [&](const std::string& name) { return std::ranges::count(of_mixes, name) > 0; });
  if (others.only.empty() && !chosen.only.empty()) contenders.clear();
  select(contenders, others);
  return of_mixes;
}

mixes_options mixes_of(const options& chosen, const run& sizes, const std::vector<std::string>& contenders,
                       const std::vector<std::string>& times, const std::vector<unsigned>& wanted_loads) {
  mixes_options wanted{
      .repetitions = chosen.repetitions, .length = 2 * sizes.length, .sender = sizes.sender, .only = contenders};
  for (const auto& name : all_mixes()) {
    if (std::ranges::find(times, name) != times.end()) wanted.mixes.push_back(name);
  }
  for (const unsigned load : {70u, 90u}) {
    if (std::ranges::find(wanted_loads, load) != wanted_loads.end()) wanted.loads.push_back(load);
  }
  if (!chosen.quick) return wanted;
  wanted.workers = {8};
  if (wanted.mixes.size() > 1) wanted.mixes.resize(1);
  if (wanted.loads.size() > 1) wanted.loads.resize(1);
  return wanted;
}

int tail(int argc, char** argv) {
  CLI::App app{"Latency of many workers beside the ideal queue's, by load, workers, flows and service times"};
  options chosen;
  run sizes;
  unsigned milliseconds = 1000;
  std::vector<std::string> times = distributions;
  times.insert(times.end(), all_mixes().begin(), all_mixes().end());
  std::vector<unsigned> wanted_loads = loads;
  bool base = false, ordinary = false;
  add_options(app, chosen);
  add_repetitions(app, chosen, 5);
  app.add_flag("--full", sizes.full, "The whole grid with every contender: hours");
  app.add_flag("--base", base, "Only 70 and 90%, exponential and bimodal, 8 workers, 64 flows");
  app.add_flag("--ordinary", ordinary, "Compete with the machine's other programs; else SCHED_FIFO, if allowed");
  app.add_option("--times", times, "Only these distributions of service times, and mixes of short and long ones")
      ->check(CLI::IsMember(times))
      ->capture_default_str();
  app.add_option("--loads", wanted_loads, "Only these loads, in percent")
      ->check(CLI::IsMember(loads))
      ->capture_default_str();
  app.add_option("--ms", milliseconds, "How long each run is measured, after a fifth of that; of a mix twice as long")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  settle(app, chosen, 1);
  if (chosen.quick && app.count("--ms") == 0) milliseconds = 250;
  sizes.length = std::chrono::milliseconds{milliseconds};

  print_heading("tail: waiting at many workers, beside the ideal queue", method);
  auto contenders = all_contenders(sizes);
  const auto of_mixes = select_with_mixes(contenders, chosen);
  if (chosen.list) return EXIT_SUCCESS;
  auto cells = whole_grid();
  std::erase_if(cells, [&](const cell& each) {
    return (!sizes.full && !in_cross_section(each)) || (base && !each.is_base()) || contenders.empty() ||
           (chosen.quick && !(each.is_base() && each.load == 70)) ||
           std::ranges::find(times, each.where.times) == times.end() ||
           std::ranges::find(wanted_loads, each.load) == wanted_loads.end();
  });
  if (ordinary) sizes.sender = udppump::load::realtime::off;
  const mixes_options mixes =
      base || of_mixes.empty() ? mixes_options{} : mixes_of(chosen, sizes, of_mixes, times, wanted_loads);
  const bool realtime = !ordinary && take_realtime();
  print_run(fmt::format(
      "{} repetitions of {} ms in {} cells, and of {} ms in {} cells of mixes; client and workers are "
      "{} processes",
      chosen.repetitions, milliseconds, cells.size(), mixes.length.count(),
      mixes.mixes.size() * mixes.workers.size() * mixes.loads.size(), realtime ? "SCHED_FIFO" : "ordinary"));
  std::fflush(stdout);

  for (std::size_t repetition = 0; repetition < chosen.repetitions; ++repetition) {
    for (const auto& where : cells) {
      for (std::size_t turn = 0; turn < contenders.size(); ++turn) {
        auto& each = contenders[(repetition + turn) % contenders.size()];
        if (each.everywhere || where.is_base()) measure(each, where, repetition, sizes);
      }
    }
  }
  tell_left_out(contenders);
  const auto tables_of_mixes = measure_mixes(mixes);

  std::vector<table> tables;
  std::vector<setting> settings;
  for (const auto& each : cells) {
    if (settings.empty() || settings.back() != each.where) settings.push_back(each.where);
  }
  for (const auto& each : settings) tables.push_back(ratios_of(contenders, each, cells));
  for (const auto& each : cells) {
    if (each.is_base()) tables.push_back(details_of(contenders, each));
  }
  tables.insert(tables.end(), tables_of_mixes.begin(), tables_of_mixes.end());
  // Of a mix that the client could not offer on this machine nothing is left.
  std::erase_if(tables, [](const table& each) { return each.empty(); });
  for (const auto& each : tables) each.print();
  write_json(chosen.json, tables);
  return EXIT_SUCCESS;
}

}  // namespace

int main(int argc, char** argv) { return bench::guarded(tail, argc, argv); }
