#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <thread>

#include "sys/wake_signal.hpp"

namespace udppump::detail {

/// Counts the tickets that are out of one pump, and wakes the pump when it was full and has room again. Outlives the
/// pump with the last ticket. Any thread.
class flight {
 public:
  /// limit 0: never full.
  flight(std::size_t limit, std::shared_ptr<wake_signal> signal) noexcept : limit_{limit}, signal_{std::move(signal)} {}

  /// While the pump is a worker's: how many are out is told there as well, until leave_pool().
  void show_in(std::atomic<std::int64_t>& shown) noexcept { shown_.store(&shown); }
  /// Before that memory may go; waits for threads that are about to write there.
  void leave_pool() noexcept {
    std::atomic<std::int64_t>* const shown = shown_.exchange(nullptr);
    if (shown == nullptr) return;
    while (writers_.load() != 0) std::this_thread::yield();
    shown->fetch_sub(static_cast<std::int64_t>(out()), std::memory_order_relaxed);
  }
  /// In the child of a fork: what is shown is the parent's, and its threads are not here.
  void forget_pool() noexcept { shown_.store(nullptr); }

  void depart() noexcept {
    show(1);
    out_.fetch_add(1, std::memory_order_relaxed);
  }
  void arrive() noexcept {
    show(-1);
    // In one order with await() and out(): whoever waits sees that the last one is back, or is told so.
    const std::size_t before = out_.fetch_sub(1);
    if (before == limit_ || (before == 1 && is_awaited_.load())) signal_->notify();
  }
  /// From now on the pump is also woken when the last ticket comes back.
  void await() noexcept { is_awaited_.store(true); }
  std::size_t out() const noexcept { return out_.load(); }
  bool full() const noexcept { return limit_ != 0 && out() >= limit_; }

 private:
  void show(std::int64_t change) noexcept {
    if (shown_.load(std::memory_order_relaxed) == nullptr) return;
    writers_.fetch_add(1);
    if (auto* const shown = shown_.load()) shown->fetch_add(change, std::memory_order_relaxed);
    writers_.fetch_sub(1);
  }

  const std::size_t limit_;
  std::atomic<std::size_t> out_{0};
  std::atomic<bool> is_awaited_{false};
  std::shared_ptr<wake_signal> signal_;
  std::atomic<std::atomic<std::int64_t>*> shown_{nullptr};
  std::atomic<unsigned> writers_{0};
};

}  // namespace udppump::detail
