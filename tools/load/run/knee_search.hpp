#pragma once

#include <functional>

namespace udppump::load {

/// How a target did at one rate.
enum class verdict {
  /// It kept to what is asked of it.
  good,
  /// It did not.
  bad,
  /// The load itself was not what was meant; nothing is known about the target.
  invalid,
};

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
  /// The highest rate that was good; 0 where none was.
  double good = 0;
  /// The lowest above it that was not; 0 where all that were tried were good.
  double bad = 0;
  /// Whether that one was invalid: then the load's own limit was found, and the target's lies higher.
  bool invalid = false;
};

/// Finds the highest rate at which a target does well: doubles the rate until it does not (or halves it until it does),
/// then halves the interval between, on a logarithmic scale. A rate that fails is tried once more, for a machine may
/// stumble. A good one is not tried again.
knee find_knee(const knee_options& options, const std::function<verdict(double rate)>& measure);

}  // namespace udppump::load
