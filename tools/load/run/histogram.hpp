#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "load/plan/clock.hpp"

namespace udppump::load {

/// Of so many requests, ten waited longer than the 99th percentile; of fewer, it is the chance of a few.
inline constexpr std::uint64_t requests_for_p99 = 1000;

/// Durations, counted in cells that are less than a thousandth as wide as what they hold: three significant digits,
/// from a nanosecond to 73 minutes, in 270 kB however many there are. Histograms add up. A value: it copies and
/// compares.
///
/// Below 2048 ns each nanosecond has its cell. From there on, each power of two is cut into 1024 of the same width.
class histogram {
 public:
  /// What lies beyond is counted in the last cell; max() and mean() know it exactly.
  static constexpr nanoseconds largest{(std::int64_t{1} << 42) - 1};

  histogram();

  /// Negative durations count as 0.
  void add(nanoseconds value) noexcept;
  void merge(const histogram& other) noexcept;
  void clear() noexcept;

  std::uint64_t count() const noexcept { return count_; }
  /// Exact; 0 if nothing was added.
  nanoseconds min() const noexcept { return count_ == 0 ? nanoseconds{0} : min_; }
  nanoseconds max() const noexcept { return max_; }
  nanoseconds mean() const noexcept;

  /// The duration that `percent` of all do not exceed (0 < percent <= 100, in steps of 0.0001): of n durations in
  /// order, the one at rank ceil(percent / 100 * n), counted from 1. What is returned is the upper end of that one's
  /// cell, but not more than max(): never less than the exact value, and less than a thousandth more. 0 if there
  /// are none.
  ///
  /// `missing` more durations are taken to be longer than all that were added: requests that nobody answered. Where
  /// the rank falls among them, the result is `unanswered`.
  nanoseconds percentile(double percent, std::uint64_t missing = 0) const noexcept;

  /// `count` durations from `first` to `last`, both included.
  struct cell {
    nanoseconds first, last;
    std::uint64_t count;
  };
  /// Those that hold something, in order.
  std::vector<cell> cells() const;

  friend bool operator==(const histogram&, const histogram&) = default;

 private:
  std::vector<std::uint64_t> counts_;
  std::uint64_t count_ = 0;
  nanoseconds min_ = nanoseconds::max();
  nanoseconds max_{0};
  double sum_ = 0;
};

}  // namespace udppump::load
