#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "udppump/lanes.hpp"

namespace udppump::detail {

/// Which lanes each of a pool's workers serves. Those that are kept for the first lanes have the lowest numbers.
class lane_plan {
 public:
  /// Of a pool without lanes: all workers serve everything.
  lane_plan() = default;
  /// Of a lane that leaves it to the pool, one worker is reserved. Throws std::invalid_argument if a lane would have no
  /// worker, or what is asked makes no sense.
  lane_plan(std::span<const lane> lanes, std::size_t workers);

  /// A bit for each lane.
  std::uint32_t lanes_of(std::size_t worker) const noexcept {
    return worker < lanes_of_.size() ? lanes_of_[worker] : ~std::uint32_t{0};
  }
  bool serves(std::size_t worker, std::size_t lane) const noexcept { return ((lanes_of(worker) >> lane) & 1) != 0; }

  std::size_t reserve_of(std::size_t lane) const noexcept { return kept_[lane].reserve; }
  /// How many workers no lane before this one keeps.
  std::size_t left_for(std::size_t lane) const noexcept;
  /// At least one worker must be left for the lanes after it.
  void reserve(std::size_t lane, std::size_t workers);
  /// For another number of workers, with the lanes that it was made of; what the pool reserved by itself stays, as far
  /// as it can. Whether those that there are already may serve other lanes than before. Throws as the constructor, and
  /// has changed nothing then.
  bool scale(std::span<const lane> lanes, std::size_t workers);

 private:
  struct kept_workers {
    std::size_t reserve, own;
  };
  void deal();

  std::vector<kept_workers> kept_;       // by lane
  std::vector<std::uint32_t> lanes_of_;  // by worker; empty without lanes
  static_assert(most_lanes <= 32);
};

}  // namespace udppump::detail
