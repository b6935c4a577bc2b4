#include "load/run/comparison.hpp"

#include <algorithm>

namespace udppump::load {
namespace {

using namespace std::chrono_literals;
using seconds = std::chrono::duration<double>;

work_run_options work_of(const comparison_options& options) {
  return {.run = options.run, .workers = options.server.workers, .load = options.load, .lag_limit = options.lag_limit};
}

compared_run run_one(const comparison_options& options, queue_kind queue, unsigned repetition,
                     const load_watch& watch) {
  work_options server_options = options.server;
  server_options.queue = queue;
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

double rate_of(const comparison_options& options) noexcept { return rate_of(work_of(options)); }

unsigned comparison::repetitions() const noexcept { return static_cast<unsigned>(runs.size() / options.queues.size()); }

unsigned comparison::valid_repetitions() const {
  unsigned valid = 0;
  for (unsigned repetition = 0; repetition < repetitions(); ++repetition) valid += is_valid(repetition) ? 1 : 0;
  return valid;
}

bool comparison::is_valid(unsigned repetition) const {
  return std::ranges::none_of(
      runs, [&](const compared_run& each) { return each.repetition == repetition && !each.work.valid; });
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
  for (const auto* run : compared_runs(queue)) all.merge(run->ideal);
  return all;
}

std::uint64_t comparison::missing(queue_kind queue) const {
  std::uint64_t sum = 0;
  for (const auto* run : compared_runs(queue)) sum += run->result.counts.lost + run->result.counts.unsent;
  return sum;
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
