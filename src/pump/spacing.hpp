#pragma once

#include <chrono>
#include <cstddef>

namespace udppump::detail {

/// Whether datagrams come one at a time, so that after one the queue is empty and need not be asked.
class spacing {
 public:
  using clock = std::chrono::steady_clock;

  void turn_begins(clock::time_point now) noexcept {
    // Nobody slept in between: the queue was not empty after all.
    if (now - ended_ < shortest_sleep) alone_ = 0;
  }
  /// A turn found the queue empty after `taken` datagrams; `now` as last read.
  void found_empty(std::size_t taken, clock::time_point now) noexcept {
    alone_ = taken == 1 ? (alone_ < enough ? alone_ + 1 : enough) : 0;
    ended_ = now;
  }
  /// A turn ended after one datagram, and nobody looked for a second.
  void left(clock::time_point now) noexcept { ended_ = now; }
  bool expects_none() const noexcept { return alone_ == enough; }

 private:
  static constexpr unsigned enough = 8;
  /// Less than any thread takes to fall asleep and wake up; more than a wait that returns at once.
  static constexpr std::chrono::microseconds shortest_sleep{2};

  clock::time_point ended_{};
  unsigned alone_ = 0;
};

}  // namespace udppump::detail
