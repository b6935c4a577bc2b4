#include "load/run/comparison.hpp"

#include <algorithm>

namespace udppump::load {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;
using seconds = std::chrono::duration<double>;

compared_run run_one(const comparison_options& options, queue_kind queue, unsigned repetition,
                     const load_watch& watch) {
  work_options server_options = options.server;
  server_options.queue = queue;
  server_options.short_limit = options.run.plan.service.short_time;
  const work_server server{server_options};
  work_run_options work = work_of(options);
  work.run.target = server.local();
  work.run.plan.seed += repetition;
  return {.queue = queue,
          .repetition = repetition,
          .work = run_work(
              work, [&] { return server.context_switches(); }, watch)};
}

}  // namespace

work_run_options work_of(const comparison_options& options) {
  work_run_options work{
      .run = options.run, .workers = options.server.workers, .load = options.load, .limits = options.limits};
  if (has_queue(options, queue_kind::lanes)) work.reserve = options.server.reserve;
  return work;
}

bool has_queue(const comparison_options& options, queue_kind queue) noexcept {
  return std::ranges::find(options.queues, queue) != options.queues.end();
}

double rate_of(const comparison_options& options) noexcept { return rate_of(work_of(options)); }

nanoseconds usual_length(const comparison_options& options) noexcept {
  constexpr double requests = 1.1 * requests_for_p99;  // arrivals are random
  const auto& service = options.run.plan.service;
  const double rarest = service.has_classes() ? std::min(1.0, service.long_share * options.repetitions) : 1;
  const seconds needed{std::clamp(requests / rate_of(options) / rarest, 2.5, 10.0)};
  return std::chrono::ceil<milliseconds>(needed);
}

unsigned comparison::repetitions() const noexcept { return static_cast<unsigned>(runs.size() / options.queues.size()); }

unsigned comparison::valid_repetitions() const {
  unsigned valid = 0;
  for (unsigned repetition = 0; repetition < repetitions(); ++repetition) valid += is_valid(repetition) ? 1 : 0;
  return valid;
}

flaw comparison::flaw_in(unsigned repetition) const {
  for (const auto& each : runs) {
    if (each.repetition != repetition) continue;
    if (!each.work.valid()) return each.work.found;
    if (!is_as_asked(options.load, each.work.real_load, options.limits.offered)) return flaw::other_load;
  }
  return flaw::none;
}

next_step step_after(unsigned made, unsigned valid, unsigned wanted, nanoseconds elapsed,
                     nanoseconds longest) noexcept {
  if (valid >= wanted) return next_step::enough;
  if (made < wanted && elapsed <= longest) return next_step::another;
  if (valid > 0 && elapsed + elapsed / made <= longest) return next_step::another;
  return is_result(valid, wanted) ? next_step::enough : next_step::too_few;
}

nanoseconds longest_of(const comparison_options& options) noexcept {
  const nanoseconds run = options.run.warmup + options.run.plan.length;
  return 3 * static_cast<std::int64_t>(options.repetitions * options.queues.size()) * run;
}

std::vector<const work_run*> comparison::compared_runs(queue_kind queue) const {
  const bool all = !valid();
  std::vector<const work_run*> found;
  for (const auto& each : runs) {
    if (each.queue == queue && (all || is_valid(each.repetition))) found.push_back(&each.work);
  }
  return found;
}

spread comparison::figure(queue_kind queue, const std::function<double(const work_run&)>& of) const {
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
  for (const auto* run : compared_runs(queue)) all.merge(run->ideal.latency);
  return all;
}

std::optional<class_results> comparison::merged(
    queue_kind queue, const std::function<const std::optional<class_results>&(const work_run&)>& of) const {
  auto all = class_results::of(options.run.plan.service);
  for (const auto* run : compared_runs(queue)) {
    if (const auto& one = of(*run); all && one) all->merge(*one);
  }
  return all;
}

std::optional<class_results> comparison::classes(queue_kind queue) const {
  return merged(
      queue, [](const work_run& run) -> const auto& { return run.result.classes; });
}

std::optional<class_results> comparison::ideal_classes(queue_kind queue) const {
  return merged(
      queue, [](const work_run& run) -> const auto& { return run.ideal.classes; });
}

std::optional<class_results> comparison::ideal_lanes_classes(queue_kind queue) const {
  if (!has_queue(options, queue_kind::lanes)) return {};
  return merged(
      queue, [](const work_run& run) -> const auto& { return run.ideal_lanes->classes; });
}

std::uint64_t comparison::missing(queue_kind queue) const {
  std::uint64_t sum = 0;
  for (const auto* run : compared_runs(queue)) sum += run->result.counts.lost + run->result.counts.unsent;
  return sum;
}

std::uint64_t comparison::fewest_requests() const {
  std::uint64_t fewest = UINT64_MAX;
  for (const auto queue : options.queues) {
    for (const auto* run : compared_runs(queue)) fewest = std::min(fewest, run->result.requests());
  }
  return fewest;
}

comparison compare(const comparison_options& options, const comparison_watch& watch) {
  comparison whole{.options = options, .runs = {}};
  const std::size_t per_repetition = options.queues.size();
  const double count = static_cast<double>(options.repetitions) * static_cast<double>(per_repetition);
  const nanoseconds began = monotonic_now();
  const auto next = [&](unsigned made) {
    return step_after(made, whole.valid_repetitions(), options.repetitions, monotonic_now() - began,
                      longest_of(options));
  };
  for (unsigned repetition = 0; next(repetition) == next_step::another; ++repetition) {
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
        whole.interrupted = true;
        return whole;
      }
    }
  }
  return whole;
}

}  // namespace udppump::load
