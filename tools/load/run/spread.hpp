#pragma once

#include <vector>

namespace udppump::load {

/// Repetitions in three numbers.
struct spread {
  double lowest = 0, median = 0, highest = 0;

  /// Of an even count, the median is the mean of the two in the middle. Infinity is allowed. All NaN if there are no
  /// values.
  static spread of(std::vector<double> values);
};

}  // namespace udppump::load
