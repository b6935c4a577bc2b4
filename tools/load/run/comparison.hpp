#pragma once

#include <functional>
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
  /// The largest load_result::lag_share() of a valid run.
  double lag_limit = 0.1;
};

/// Requests a second that make up the load asked for.
double rate_of(const comparison_options& options) noexcept;

/// One queue under one trace.
struct compared_run {
  queue_kind queue = queue_kind::shared;
  unsigned repetition = 0;
  work_run work = {};
};

struct comparison {
  comparison_options options;
  /// In the order in which they were made; whole repetitions only.
  std::vector<compared_run> runs;

  /// Repetitions that were made, and of these the ones in which the runs of all queues are valid.
  unsigned repetitions() const noexcept;
  unsigned valid_repetitions() const;
  /// At least half of what was made is valid; then only that is compared, else all of it, for what it is worth.
  bool valid() const { return 2 * valid_repetitions() >= repetitions(); }
  /// A figure of all runs of a queue that are compared.
  spread figure(queue_kind queue, const std::function<double(const work_run&)>& of) const;
  /// All compared runs of a queue together.
  histogram latencies(queue_kind queue) const;
  histogram ideal_latencies(queue_kind queue) const;
  /// Requests without an answer in all compared runs of a queue.
  std::uint64_t missing(queue_kind queue) const;

 private:
  bool is_valid(unsigned repetition) const;
  std::vector<const work_run*> compared_runs(queue_kind queue) const;
};

struct comparison_watch {
  /// Called several times a second with what is being run and the share of the whole that is done.
  std::function<void(queue_kind queue, unsigned repetition, double done)> report = {};
  const std::atomic<bool>* interrupted = nullptr;
};

/// Runs every queue once in each repetition, in an order that rotates, all under the same trace; each repetition has
/// another one. The process must have one thread only; see work_server. Interrupted, it returns the repetitions that
/// are whole.
comparison compare(const comparison_options& options, const comparison_watch& watch = {});

}  // namespace udppump::load
