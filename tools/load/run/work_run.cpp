#include "load/run/work_run.hpp"

#include <algorithm>
#include <limits>
#include <random>

#include "load/plan/work_requests.hpp"
#include "load/run/ideal_queue.hpp"

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

}  // namespace

double rate_of(const work_run_options& options) noexcept {
  return options.load * static_cast<double>(options.workers) / seconds{options.run.plan.service.mean}.count();
}

double work_run::goodput() const noexcept {
  return static_cast<double>(result.counts.answered) / seconds{result.measured}.count();
}
double work_run::latency(double percent) const noexcept { return in_seconds(result.percentile(percent)); }
double work_run::ideal_latency(double percent) const noexcept { return in_seconds(ideal.percentile(percent)); }

histogram simulate_ideal(std::span<const request_record> records, std::size_t workers, nanoseconds warmup) {
  ideal_queue queue{workers};
  histogram latency;
  for (const auto& each : records) {
    const nanoseconds sojourn = queue.serve(each.intended, each.used < 0ns ? each.asked : each.used);
    if (each.intended >= warmup) latency.add(sojourn);
  }
  return latency;
}

work_run run_work(const work_run_options& options, const std::function<std::uint64_t()>& switches,
                  const load_watch& watch) {
  load_options run = options.run;
  run.plan.rate = rate_of(options);
  run.plan.length += run.warmup;
  run.keep_records = true;
  const std::uint64_t before = switches();
  work_run done;
  done.result = run_load(run, work_requests{std::random_device{}()}, watch);
  done.switches_per_datagram = static_cast<double>(switches() - before) /
                               static_cast<double>(std::max<std::size_t>(1, done.result.records.size()));
  done.ideal = simulate_ideal(done.result.records, options.workers, run.warmup);
  done.real_load = real_load_of(done.result, options.workers);
  done.valid = !done.result.gave_up && done.result.lag_share() <= options.lag_limit;
  if (!options.run.keep_records) done.result.records = {};
  return done;
}

}  // namespace udppump::load
