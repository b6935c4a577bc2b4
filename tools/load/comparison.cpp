#include "load/comparison.hpp"

#include <algorithm>
#include <limits>
#include <random>

#include "load/ideal_queue.hpp"
#include "load/work_requests.hpp"

namespace udppump::load {
namespace {

using namespace std::chrono_literals;
using seconds = std::chrono::duration<double>;

double in_seconds(nanoseconds value) noexcept {
  return value == unanswered ? std::numeric_limits<double>::infinity() : seconds{value}.count();
}

/// The share of the workers' time that the requests of a run used.
double real_load_of(const load_result& result, std::size_t workers) {
  seconds used{0};
  for (const auto& each : result.records) used += each.used < 0ns ? each.asked : each.used;
  const seconds length = result.records.empty() ? 1s : seconds{result.records.back().intended};
  return used / length / static_cast<double>(workers);
}

compared_run run_one(const comparison_options& options, queue_kind queue, unsigned repetition,
                     const load_watch& watch) {
  work_options server_options = options.server;
  server_options.queue = queue;
  const work_server server{server_options};
  load_options run = options.run;
  run.target = server.local();
  run.plan.rate = rate_of(options);
  run.plan.length += run.warmup;
  run.plan.seed += repetition;
  run.keep_records = true;
  const std::uint64_t switches = server.context_switches();
  compared_run done{.queue = queue, .repetition = repetition};
  done.result = run_load(run, work_requests{std::random_device{}()}, watch);
  done.switches_per_datagram = static_cast<double>(server.context_switches() - switches) /
                               static_cast<double>(std::max<std::size_t>(1, done.result.records.size()));
  done.ideal = simulate_ideal(done.result.records, server.workers(), run.warmup);
  done.real_load = real_load_of(done.result, server.workers());
  done.valid = !done.result.gave_up && done.result.lag_share() <= options.lag_limit;
  if (!options.run.keep_records) done.result.records = {};
  return done;
}

}  // namespace

double rate_of(const comparison_options& options) noexcept {
  return options.load * options.server.workers / seconds{options.run.plan.service.mean}.count();
}

double compared_run::goodput() const noexcept {
  return static_cast<double>(result.counts.answered) / seconds{result.measured}.count();
}
double compared_run::latency(double percent) const noexcept { return in_seconds(result.percentile(percent)); }
double compared_run::ideal_latency(double percent) const noexcept { return in_seconds(ideal.percentile(percent)); }

unsigned comparison::repetitions() const noexcept { return static_cast<unsigned>(runs.size() / options.queues.size()); }

unsigned comparison::valid_repetitions() const {
  unsigned valid = 0;
  for (unsigned repetition = 0; repetition < repetitions(); ++repetition) valid += is_valid(repetition) ? 1 : 0;
  return valid;
}

bool comparison::is_valid(unsigned repetition) const {
  return std::ranges::none_of(runs,
                              [&](const compared_run& run) { return run.repetition == repetition && !run.valid; });
}

std::vector<const compared_run*> comparison::compared_runs(queue_kind queue) const {
  const bool all = !valid();
  std::vector<const compared_run*> found;
  for (const auto& run : runs) {
    if (run.queue == queue && (all || is_valid(run.repetition))) found.push_back(&run);
  }
  return found;
}

spread comparison::figure(queue_kind queue, const std::function<double(const compared_run&)>& of) const {
  std::vector<double> values;
  for (const auto* run : compared_runs(queue)) values.push_back(of(*run));
  return spread::of(std::move(values));
}

histogram comparison::latencies(queue_kind queue) const {
  histogram all;
  for (const auto* run : compared_runs(queue)) all.merge(run->result.latency);
  return all;
}

histogram comparison::ideal_latencies(queue_kind queue) const {
  histogram all;
  for (const auto* run : compared_runs(queue)) all.merge(run->ideal);
  return all;
}

std::uint64_t comparison::missing(queue_kind queue) const {
  std::uint64_t sum = 0;
  for (const auto* run : compared_runs(queue)) sum += run->result.counts.lost + run->result.counts.unsent;
  return sum;
}

histogram simulate_ideal(std::span<const request_record> records, std::size_t workers, nanoseconds warmup) {
  ideal_queue queue{workers};
  histogram latency;
  for (const auto& each : records) {
    const nanoseconds sojourn = queue.serve(each.intended, each.used < 0ns ? each.asked : each.used);
    if (each.intended >= warmup) latency.add(sojourn);
  }
  return latency;
}

comparison compare(const comparison_options& options, const comparison_watch& watch) {
  comparison whole{.options = options, .runs = {}};
  const std::size_t per_repetition = options.queues.size();
  const double count = static_cast<double>(options.repetitions) * static_cast<double>(per_repetition);
  for (unsigned repetition = 0; repetition < options.repetitions; ++repetition) {
    for (std::size_t turn = 0; turn < per_repetition; ++turn) {
      const queue_kind queue = options.queues[(turn + repetition) % per_repetition];
      const auto done = static_cast<double>(whole.runs.size());
      const auto report = [&](const load_progress& now) {
        if (watch.report) watch.report(queue, repetition, (done + now.since_start / seconds{now.length}) / count);
      };
      whole.runs.push_back(
          run_one(options, queue, repetition, {.every = 100ms, .report = report, .interrupted = watch.interrupted}));
      if (watch.interrupted != nullptr && *watch.interrupted) {
        whole.runs.resize(repetition * per_repetition);
        return whole;
      }
    }
  }
  return whole;
}

}  // namespace udppump::load
