#pragma once

#include <atomic>
#include <chrono>

namespace udppump::detail {

/// When one of the workers that share a socket last armed it, in memory that they share. It is a hint, and nothing is
/// locked: a leader that dies, or that is long in its handler, just writes no more.
class leader_note {
 public:
  using clock = std::chrono::steady_clock;  // CLOCK_MONOTONIC: the same in all processes of a machine

  /// The epoch of the clock if no worker armed.
  clock::time_point last_armed() const noexcept {
    return clock::time_point{clock::duration{last_armed_.load(std::memory_order_relaxed)}};
  }
  void arming(clock::time_point now) noexcept {
    last_armed_.store(now.time_since_epoch().count(), std::memory_order_relaxed);
  }

 private:
  std::atomic<clock::rep> last_armed_;
};

/// One pump's part in leading and following. While handlers are brief, the worker that is awake has emptied the queue
/// before another that was woken looks into it, and every parked worker makes the sender wake one more. So one worker
/// leads, and those that see in the note that another armed a moment ago stand by for a while instead of arming.
class stand_by {
 public:
  /// `note` must outlive this; null: this pump never stands by.
  explicit stand_by(leader_note* note) noexcept : note_{note} {}

  /// Asked when handlers are brief and the queue is empty. True: another worker leads, and this one stands by. False:
  /// this one arms, and leads.
  bool another_leads() noexcept;

 private:
  leader_note* note_;
  leader_note::clock::time_point armed_at_{};  // when this pump led last
};

}  // namespace udppump::detail
