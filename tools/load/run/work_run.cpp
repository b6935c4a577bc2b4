#include "load/run/work_run.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <random>
#include <vector>

#include "load/plan/work_requests.hpp"
#include "load/run/ideal_lanes.hpp"
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

/// Sets how much longer the short requests' services took than they should have.
void set_short_stretch(work_run& run, const service_times& service) {
  if (!service.has_classes()) return;
  seconds asked{0}, used{0};
  for (const auto& each : run.result.records) {
    if (each.used < 0ns || service.is_long(each.asked)) continue;
    asked += each.asked;
    used += each.used;
  }
  if (asked > 0s) run.short_stretch = used / asked;
}

/// As long as it really took; what has no answer, as long as it asked for.
nanoseconds service_of(const request_record& each) noexcept { return each.used < 0ns ? each.asked : each.used; }

simulated nothing_of(const simulation& served) { return {.classes = class_results::of(served.service)}; }

void add(simulated& waited, const simulation& served, const request_record& each, nanoseconds sojourn) {
  if (each.intended < served.warmup) return;
  waited.latency.add(sojourn);
  if (waited.classes) waited.classes->add(each.asked, sojourn, service_of(each));
}

}  // namespace

double rate_of(const work_run_options& options) noexcept {
  return options.load * static_cast<double>(options.workers) / seconds{options.run.plan.service.mean}.count();
}

std::size_t usual_reserve(const work_run_options& options) noexcept {
  constexpr double most = 0.95;
  const double long_ones =
      options.load * static_cast<double>(options.workers) * options.run.plan.service.long_share_of_work();
  std::size_t reserve = options.workers < 2 ? 0 : std::max<std::size_t>(1, options.workers / 8);
  while (reserve > 0 && long_ones > most * static_cast<double>(options.workers - reserve)) --reserve;
  return reserve;
}

double work_run::goodput() const noexcept {
  return static_cast<double>(result.counts.answered) / seconds{result.measured}.count();
}
double work_run::latency(double percent) const noexcept { return in_seconds(result.percentile(percent)); }
double work_run::ideal_latency(double percent) const noexcept { return in_seconds(ideal.latency.percentile(percent)); }
double work_run::ideal_lanes_latency(double percent) const noexcept {
  if (!ideal_lanes) return std::numeric_limits<double>::quiet_NaN();
  return in_seconds(ideal_lanes->latency.percentile(percent));
}

flaw flaw_of(const work_run& run, const validity_limits& limits) noexcept {
  const flaw found = flaw_of(run.result, limits);
  if (found != flaw::none) return found;
  if (!is_as_asked(run.asked_load, run.real_load, limits.offered)) return flaw::other_load;
  return is_as_asked(1, run.short_stretch, limits.offered) ? flaw::none : flaw::slow_short_services;
}

simulated simulate_ideal(const simulation& served) {
  ideal_queue queue{served.workers};
  simulated waited = nothing_of(served);
  for (const auto& each : served.records) {
    add(waited, served, each, queue.serve(each.intended, service_of(each)));
  }
  return waited;
}

simulated simulate_ideal_lanes(const simulation& served, std::size_t reserve) {
  std::vector<lane_request> requests;
  requests.reserve(served.records.size());
  for (const auto& each : served.records) {
    const std::size_t lane = served.service.is_long(each.asked) ? 1 : 0;
    requests.push_back({.arrival = each.intended, .service = service_of(each), .lane = lane});
  }
  const std::array reserves{reserve, std::size_t{0}};
  const auto sojourns = serve_in_ideal_lanes(requests, served.workers, reserves);
  simulated waited = nothing_of(served);
  for (std::size_t i = 0; i < sojourns.size(); ++i) add(waited, served, served.records[i], sojourns[i]);
  return waited;
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
  const simulation served{
      .records = done.result.records, .service = run.plan.service, .workers = options.workers, .warmup = run.warmup};
  done.ideal = simulate_ideal(served);
  if (options.reserve && run.plan.service.has_classes()) {
    done.ideal_lanes = simulate_ideal_lanes(served, *options.reserve);
  }
  set_loads(done, options.workers);
  set_short_stretch(done, run.plan.service);
  done.found = flaw_of(done, options.limits);
  if (!options.run.keep_records) done.result.records = {};
  return done;
}

}  // namespace udppump::load
