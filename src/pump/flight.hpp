#pragma once

#include <atomic>
#include <cstddef>
#include <memory>

#include "sys/wake_signal.hpp"

namespace udppump::detail {

/// Counts the tickets that are out of one pump, and wakes the pump when it was full and has room again. Outlives the
/// pump with the last ticket. Any thread.
class flight {
 public:
  /// limit 0: never full.
  flight(std::size_t limit, std::shared_ptr<wake_signal> signal) noexcept : limit_{limit}, signal_{std::move(signal)} {}

  void depart() noexcept { out_.fetch_add(1, std::memory_order_relaxed); }
  void arrive() noexcept {
    // In one order with await() and out(): whoever waits sees that the last one is back, or is told so.
    const std::size_t before = out_.fetch_sub(1);
    if (before == limit_ || (before == 1 && is_awaited_.load())) signal_->notify();
  }
  /// From now on the pump is also woken when the last ticket comes back.
  void await() noexcept { is_awaited_.store(true); }
  std::size_t out() const noexcept { return out_.load(); }
  bool full() const noexcept { return limit_ != 0 && out() >= limit_; }

 private:
  const std::size_t limit_;
  std::atomic<std::size_t> out_{0};
  std::atomic<bool> is_awaited_{false};
  std::shared_ptr<wake_signal> signal_;
};

}  // namespace udppump::detail
