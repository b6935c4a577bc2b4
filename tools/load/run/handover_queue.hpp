#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <vector>

namespace udppump::load {

/// Hands values from one thread to another in order, without a lock: one thread pushes, one pops.
template <class Value>
class handover_queue {
 public:
  /// `capacity` is rounded up to a power of two.
  explicit handover_queue(std::size_t capacity) : slots_(std::bit_ceil(capacity)) {}

  /// False if it is full.
  bool push(const Value& value) noexcept {
    const std::size_t tail = tail_.load(std::memory_order_relaxed);
    if (tail - head_.load(std::memory_order_acquire) == slots_.size()) return false;
    slots_[tail & (slots_.size() - 1)] = value;
    tail_.store(tail + 1, std::memory_order_release);
    return true;
  }
  /// False if it is empty.
  bool pop(Value& value) noexcept {
    const std::size_t head = head_.load(std::memory_order_relaxed);
    if (head == tail_.load(std::memory_order_acquire)) return false;
    value = slots_[head & (slots_.size() - 1)];
    head_.store(head + 1, std::memory_order_release);
    return true;
  }

 private:
  std::vector<Value> slots_;
  // In cache lines of their own, so that the threads do not slow each other.
  alignas(64) std::atomic<std::size_t> head_{0};
  alignas(64) std::atomic<std::size_t> tail_{0};
};

}  // namespace udppump::load
