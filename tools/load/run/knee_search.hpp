#pragma once

#include <functional>
#include <string_view>

#include "load/run/load_run.hpp"
#include "load/run/validity.hpp"

namespace udppump::load {

/// How a target did at one rate.
enum class verdict {
  /// It kept to what is asked of it.
  good,
  /// It did not.
  bad,
  /// The load itself was not what was meant; nothing is known about the target.
  invalid,
  /// Nothing is known, and nothing more is to be tried: somebody interrupted it, or the target went away.
  interrupted,
  target_gone,
};

/// "good", "too much", "not valid", "interrupted", "the target went away".
std::string_view to_string(verdict seen) noexcept;

/// Of a run whose 99th percentile is to stay within `slo`. Requests that left late make latencies longer, never
/// shorter: a run that is good all the same is good. Answers dropped at this program's own sockets, and a rate that was
/// not offered, make a run invalid whatever the latencies are.
verdict judge(const load_result& result, nanoseconds slo, const validity_limits& limits) noexcept;

struct knee_options {
  /// Where to begin, requests a second.
  double first_rate = 1000;
  /// The search ends when the lowest bad rate is at most this many times the highest good one.
  double precision = 1.05;
  /// It gives up outside these.
  double lowest_rate = 1;
  double highest_rate = 1e7;
};

struct knee {
  /// The highest rate that was good; 0 if none was.
  double good = 0;
  /// The lowest above it that was not; 0 if all that were tried were good.
  double bad = 0;
  /// Whether that one was invalid: then the load's own limit was found, and the target's lies higher.
  bool invalid = false;
  /// Whether the search ended before it had an answer. What was measured until then still holds.
  bool cut_short = false;
};

/// Finds the highest rate at which a target does well: doubles the rate until it does not (or halves it until it does),
/// then halves the interval between, on a logarithmic scale. A rate that fails is tried once more, for a machine may
/// stumble. A good one is not tried again. Ends at once if nothing more is to be tried.
knee find_knee(const knee_options& options, const std::function<verdict(double rate)>& measure);

}  // namespace udppump::load
