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

/// Sets the loads of a run. Requests that were never answered are taken to have been like those that were.
void set_loads(work_run& run, std::size_t workers) {
  const auto& records = run.result.records;
  if (records.empty()) return;
  seconds asked{0}, asked_of_answered{0}, used{0};
  for (const auto& each : records) {
    asked += each.asked;
    if (each.used < 0ns) continue;
    asked_of_answered += each.asked;
    used += each.used;
  }
  const auto& last = records.back();
  const auto share = [&](seconds work, seconds length) { return work / length / static_cast<double>(workers); };
  run.asked_load = share(asked, std::max<nanoseconds>(1ns, last.intended));
  const double stretched = asked_of_answered > 0s ? used / asked_of_answered : 1;
  run.real_load = share(asked * stretched, std::max<nanoseconds>(1ns, last.intended + last.lag));
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

flaw flaw_of(const work_run& run, const validity_limits& limits) noexcept {
  const flaw found = flaw_of(run.result, limits);
  if (found != flaw::none || is_as_asked(run.asked_load, run.real_load, limits.offered)) return found;
  return flaw::other_load;
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
  set_loads(done, options.workers);
  done.found = flaw_of(done, options.limits);
  if (!options.run.keep_records) done.result.records = {};
  return done;
}

}  // namespace udppump::load
