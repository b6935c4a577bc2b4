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
    if (out_.fetch_sub(1, std::memory_order_acq_rel) == limit_) signal_->notify();
  }
  std::size_t out() const noexcept { return out_.load(std::memory_order_acquire); }
  bool full() const noexcept { return limit_ != 0 && out() >= limit_; }

 private:
  const std::size_t limit_;
  std::atomic<std::size_t> out_{0};
  std::shared_ptr<wake_signal> signal_;
};

}  // namespace udppump::detail
