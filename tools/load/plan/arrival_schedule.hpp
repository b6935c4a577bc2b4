#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "load/plan/clock.hpp"
#include "load/plan/random_stream.hpp"

namespace udppump::load {

enum class arrival_kind {
  /// Independent of each other, as those of many strangers are: exponential gaps.
  poisson,
  /// At equal gaps.
  constant,
  /// So many at once, at independent times.
  bursts,
};

struct arrival_pattern {
  arrival_kind kind = arrival_kind::poisson;
  /// Requests in a burst; 1 for the other kinds.
  std::uint32_t burst = 1;

  /// "poisson", "constant" or "bursts:N". Throws std::invalid_argument that says so.
  static arrival_pattern parse(std::string_view text);
  std::string to_string() const;
};

/// When requests are due: an endless series of times since the start, which the answers have no influence on. The same
/// pattern and seed give the same series, and at another rate the same one stretched.
class arrival_schedule {
 public:
  /// `rate`: requests a second, in the mean.
  arrival_schedule(const arrival_pattern& pattern, double rate, std::uint64_t seed) noexcept;
  /// Never less than the one before.
  nanoseconds next() noexcept;

 private:
  arrival_pattern pattern_;
  double gap_;  // the mean between bursts, in nanoseconds
  random_stream random_;
  std::uint64_t count_ = 0;
  double elapsed_ = 0;  // in mean gaps: its rounding is far below a nanosecond after any run
};

}  // namespace udppump::load
