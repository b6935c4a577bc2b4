#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "load/plan/clock.hpp"

namespace udppump::load {

struct lane_request {
  nanoseconds arrival{0};
  nanoseconds service{0};
  /// From 0, the first.
  std::size_t lane = 0;
};

/// How long after its arrival each request is done by workers with lanes (udppump/lanes.hpp) at no cost: a worker that
/// is free begins at once with the oldest request of the first lane that has one, and ends it whatever comes meanwhile
/// (priority without preemption). Moving datagrams, waking and choosing workers take no time.
///
/// `reserve`: one for each lane: so many workers are kept for it and the lanes before it. Worker n serves a lane only
/// if n is at least the sum of what the lanes before reserve; of the free workers that serve a lane, the first one
/// takes the request. `requests`: in the order of their arrival. Throws std::invalid_argument if no worker is left for
/// a lane, or if a request names none.
std::vector<nanoseconds> serve_in_ideal_lanes(std::span<const lane_request> requests, std::size_t workers,
                                              std::span<const std::size_t> reserve);

}  // namespace udppump::load
