#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "pool/board.hpp"
#include "pool/lane_plan.hpp"
#include "pool/pool_log.hpp"

namespace udppump::detail {

/// Of lanes with automatic_reserve: how many workers are kept free of the lanes after them. Follows from how many
/// workers the handlers of each lane keep busy. In the parent.
class lane_balance {
 public:
  using clock = std::chrono::steady_clock;

  /// All outlive it.
  lane_balance(board& shared, std::span<const lane> lanes, lane_plan& plan, const pool_log& log);

  /// When to call look(): each second; the end of time if no lane asks for it.
  clock::time_point next() const noexcept { return next_; }
  /// Measures, and tells the workers if they are to serve other lanes.
  void look(clock::time_point now);
  /// The plan has changed.
  void tell_workers() noexcept;

  /// How many of `workers` should be kept for a lane whose requests keep `own` of them busy on average, if those of
  /// later lanes keep `later` busy: at least one, and one is left for these. Who is kept should be busy for 60% of the
  /// time at most, so that a short request rarely waits for another; the others for 85%, which goes first: a queue that
  /// only grows is worse than one that is longer.
  static std::size_t wanted(double own, double later, std::size_t workers) noexcept;

 private:
  void measure(clock::time_point now);

  board& shared_;
  const std::span<const lane> lanes_;
  lane_plan& plan_;
  const pool_log& log_;
  clock::time_point next_ = clock::time_point::max(), measured_at_;
  std::vector<std::uint64_t> counted_;  // nanoseconds that handlers took, by lane
  std::vector<double> busy_;            // workers, by lane, over some seconds
  std::vector<unsigned> looks_with_less_;
};

}  // namespace udppump::detail
