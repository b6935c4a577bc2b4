#pragma once

#include <cstddef>
#include <vector>

#include "load/plan/clock.hpp"

namespace udppump::load {

/// The queue that no server can be better than without knowing how long each request will take: one line for all, first
/// come first served, each request begun the moment a worker is free (G/G/k). Moving datagrams, waking and choosing
/// workers take no time in it.
class ideal_queue {
 public:
  /// `workers`: at least 1.
  explicit ideal_queue(std::size_t workers);
  /// One more request; arrivals must not go back in time. How long after its arrival it is done.
  nanoseconds serve(nanoseconds arrival, nanoseconds service);

 private:
  std::vector<nanoseconds> free_at_;  // a heap: the worker free first on top
};

}  // namespace udppump::load
