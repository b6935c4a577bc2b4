#pragma once

#include <atomic>
#include <chrono>
#include <memory>

namespace udppump::detail {

/// When one of the workers that share a socket last armed it, in memory that they all share: those that are forked
/// after the socket was made, and the threads of a process. While handlers are brief, one worker at a time does best:
/// whoever sees here that another has armed a moment ago stands by for a while instead of arming as well (leader and
/// followers). It is a hint, and nothing is locked: a leader that dies, or that is long in its handler, is simply not
/// heard of any more.
class leader_note {
 public:
  using clock = std::chrono::steady_clock;  // CLOCK_MONOTONIC: the same in all processes of a machine

  /// 64 bytes, of which nothing is touched before a worker arms; null where there is no memory.
  static std::shared_ptr<leader_note> make();

  /// The epoch of the clock where no worker did.
  clock::time_point last_armed() const noexcept {
    return clock::time_point{clock::duration{last_armed_.load(std::memory_order_relaxed)}};
  }
  void arming(clock::time_point now) noexcept {
    last_armed_.store(now.time_since_epoch().count(), std::memory_order_relaxed);
  }

 private:
  std::atomic<clock::rep> last_armed_;
};

}  // namespace udppump::detail
