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
    unasked_ = 0;
    ended_ = now;
  }
  /// A turn ended after one datagram, and nobody looked for a second.
  void left(clock::time_point now) noexcept {
    ++unasked_;
    ended_ = now;
  }
  bool expects_none() const noexcept { return alone_ == enough && unasked_ < most_unasked; }

 private:
  static constexpr unsigned enough = 8;
  /// Then it asks once all the same: where everything is slow, a sleep cannot be told by its time.
  static constexpr unsigned most_unasked = 16;
  /// Less than any thread takes to fall asleep and wake up; more than a wait that returns at once.
  static constexpr std::chrono::microseconds shortest_sleep{2};

  clock::time_point ended_{};
  unsigned alone_ = 0;    // turns in a row that had one datagram
  unsigned unasked_ = 0;  // turns since one that looked for a second
};

}  // namespace udppump::detail
