#include "load/run/ideal_queue.hpp"

#include <algorithm>
#include <functional>
#include <stdexcept>

namespace udppump::load {

ideal_queue::ideal_queue(std::size_t workers) : free_at_(workers, nanoseconds::min()) {
  if (workers == 0) throw std::invalid_argument{"a queue needs at least one worker; give 1 or more"};
}

nanoseconds ideal_queue::serve(nanoseconds arrival, nanoseconds service) {
  std::ranges::pop_heap(free_at_, std::greater{});
  const nanoseconds done = std::max(arrival, free_at_.back()) + service;
  free_at_.back() = done;
  std::ranges::push_heap(free_at_, std::greater{});
  return done - arrival;
}

}  // namespace udppump::load
