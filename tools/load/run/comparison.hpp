#pragma once

#include <algorithm>
#include <functional>
#include <optional>
#include <vector>

#include "load/run/histogram.hpp"
#include "load/run/load_run.hpp"
#include "load/run/spread.hpp"
#include "load/run/work_run.hpp"
#include "load/run/work_server.hpp"

namespace udppump::load {

struct comparison_options {
  std::vector<queue_kind> queues = {queue_kind::shared, queue_kind::sharded};
  unsigned repetitions = 5;
  /// How much of the workers' time the requests ask for, as a share of 1.
  double load = 0.7;
  /// The server under test; its queue is one of `queues` after the other.
  work_options server = {};
  /// The load; its target and rate follow from the server and the share.
  load_options run = {};
  /// Of valid runs; in a valid repetition each load really offered is within limits.offered of `load` as well.
  validity_limits limits = {};
};

/// Requests a second that make up the load asked for.
double rate_of(const comparison_options& options) noexcept;

/// Whether one of the queues is `queue`.
bool has_queue(const comparison_options& options, queue_kind queue) noexcept;

/// How long a run measures if nobody says: long enough for its 99th percentile, and if some requests are long, for
/// theirs in all repetitions together; but ten seconds at most.
nanoseconds usual_length(const comparison_options& options) noexcept;

/// What is measured, as one of its runs needs it.
work_run_options work_of(const comparison_options& options);

/// One queue under one trace.
struct compared_run {
  queue_kind queue = queue_kind::shared;
  unsigned repetition = 0;
  work_run work = {};
};

/// Whether so many valid repetitions make a result if so many were wanted: at least half of them.
constexpr bool is_result(unsigned valid, unsigned wanted) noexcept { return valid > 0 && 2 * valid >= wanted; }

struct comparison {
  comparison_options options;
  /// In the order in which they were made; whole repetitions only.
  std::vector<compared_run> runs;
  /// Before as many were made as were wanted.
  bool interrupted = false;

  /// Repetitions that were made, and of these the ones in which the runs of all queues are valid.
  unsigned repetitions() const noexcept;
  unsigned valid_repetitions() const;
  /// As many are valid as make a result; then only those are compared, else all, for what they are worth.
  bool valid() const { return is_result(valid_repetitions(), options.repetitions); }
  /// The worst flaw in the runs of a repetition.
  flaw flaw_in(unsigned repetition) const;
  /// A figure of all runs of a queue that are compared.
  spread figure(queue_kind queue, const std::function<double(const work_run&)>& of) const;
  /// All compared runs of a queue together.
  histogram latencies(queue_kind queue) const;
  histogram ideal_latencies(queue_kind queue) const;
  /// The same by class of work, and what the ideal queue, and if lanes were measured the ideal lanes, would have done
  /// with these requests; nothing if there is one class only.
  std::optional<class_results> classes(queue_kind queue) const;
  std::optional<class_results> ideal_classes(queue_kind queue) const;
  std::optional<class_results> ideal_lanes_classes(queue_kind queue) const;
  /// Requests without an answer in all compared runs of a queue.
  std::uint64_t missing(queue_kind queue) const;
  /// In the compared run that has the fewest.
  std::uint64_t fewest_requests() const;

 private:
  /// What a run has by class of work, of all compared runs of a queue.
  std::optional<class_results> merged(
      queue_kind queue, const std::function<const std::optional<class_results>&(const work_run&)>& of) const;
  bool is_valid(unsigned repetition) const { return flaw_in(repetition) == flaw::none; }
  std::vector<const work_run*> compared_runs(queue_kind queue) const;
};

enum class next_step { another, enough, too_few };
/// What follows when so many repetitions were made and so many of them are valid: further ones, in place of those that
/// are not valid, until as many are valid as were wanted, or until `longest` would be over. There are none if not one
/// was valid of as many as were wanted, or in all that time.
next_step step_after(unsigned made, unsigned valid, unsigned wanted, nanoseconds elapsed, nanoseconds longest) noexcept;
/// How long all repetitions may take: three times of what they take if all are valid.
nanoseconds longest_of(const comparison_options& options) noexcept;

struct comparison_watch {
  /// Called several times a second with what is being run and the share that is done of the repetitions wanted: more
  /// than 1 if some were not valid.
  std::function<void(queue_kind queue, unsigned repetition, double done)> report = {};
  const std::atomic<bool>* interrupted = nullptr;
};

/// Runs every queue once in each repetition, in an order that rotates, all under the same trace; each repetition has
/// another one. Makes as many as step_after() says. The process must have one thread only; see work_server.
/// Interrupted, it returns the repetitions that are whole.
comparison compare(const comparison_options& options, const comparison_watch& watch = {});

}  // namespace udppump::load
