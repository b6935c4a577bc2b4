#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "load/plan/request_plan.hpp"
#include "load/plan/request_template.hpp"
#include "load/run/answer_ledger.hpp"
#include "load/run/histogram.hpp"
#include "load/run/paced_sender.hpp"
#include "udppump/address.hpp"

namespace udppump::load {

struct load_options {
  address target = {};
  /// Local addresses that the flows take in turn; empty: the kernel's choice.
  std::vector<address> sources = {};
  /// Its length includes the warm-up.
  plan_options plan = {};
  /// What is due in this first time is sent, but not counted.
  nanoseconds warmup{0};
  /// Answers after this long are late. So long after the last request the run is over.
  nanoseconds timeout = std::chrono::seconds{2};
  /// The most that the sender spins before a request is due.
  nanoseconds spin_limit = std::chrono::microseconds{60};
  realtime priority = realtime::off;
  bool keep_records = false;
};

struct load_result {
  request_counts counts;
  /// From the intended time of sending to the answer's arrival, of all that were answered, late ones included.
  histogram latency;
  /// Actual less intended time of sending.
  histogram lag;
  /// Service times that the server told.
  histogram used;
  /// Latencies by class of work; nothing if there is one class only.
  std::optional<class_results> classes;
  /// Answers that the kernel dropped at this program's own sockets; counted among the lost as well.
  std::uint64_t receive_drops = 0;
  /// Why the sockets' receive buffer is not larger; empty if it is what was asked for.
  std::string receive_buffer_shortfall;
  std::uint64_t icmp_errors = 0;
  std::uint64_t answer_bytes = 0;
  /// The errno of the last request that could not be sent.
  int send_error = 0;
  /// How long requests were counted: the length of the plan less the warm-up; another if the run ended early, or if
  /// sending took longer.
  nanoseconds measured{0};
  /// Of the plan, how long the part is that was counted: the same as `measured` if every request left when it was due.
  nanoseconds planned{0};
  bool interrupted = false;
  /// Requests could not be sent as fast as was planned: the run was ended when they were later than the timeout.
  bool gave_up = false;
  /// With keep_records.
  std::vector<request_record> records;

  /// Those that percentile() is of.
  std::uint64_t requests() const noexcept { return latency.count() + counts.lost + counts.unsent; }
  /// A percentile of what the requests waited. One without an answer waited longer than all that have one.
  nanoseconds percentile(double percent) const noexcept {
    return latency.percentile(percent, counts.lost + counts.unsent);
  }
  /// What the sender's lag adds to the 99th percentile of what was measured, at most: the lag's 99th percentile as a
  /// share of the latency's. A run in which it is large measured its sender, not its target.
  double lag_share() const noexcept;
  /// Requests a second, after the warm-up: as this run's plan had them, and as they were really sent. 0 if none was
  /// due.
  double asked_rate() const noexcept;
  double offered_rate() const noexcept;
};

/// How a run is going: the time since the last report.
struct load_progress {
  nanoseconds since_start;
  nanoseconds length;
  double answers_per_second;
  /// unanswered if nothing was answered.
  nanoseconds p50, p99;
  /// Since the start, late ones not included.
  std::uint64_t lost;
};

struct load_watch {
  nanoseconds every = std::chrono::seconds{1};
  /// Called on the thread that runs the load; may be empty.
  std::function<void(const load_progress&)> report = {};
  /// Ends the run early if it becomes true; may be nullptr.
  const std::atomic<bool>* interrupted = nullptr;
};

/// Sends the plan to the target and returns what came of it. Sends on a thread of its own; receives on the caller's.
/// Throws std::system_error if the sockets cannot be made, and if the target is known not to answer: an ICMP
/// error came, and no answer before it.
load_result run_load(const load_options& options, const request_template& requests, const load_watch& watch = {});

}  // namespace udppump::load
