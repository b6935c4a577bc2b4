#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <memory>
#include <utility>

#include "pump/worker_link.hpp"

namespace udppump::detail {

/// How long the handlers of a pump take. Time in the handler is the time of a turn less the cost of receiving, which is
/// measured now and then. A clock reading costs a few percent of receiving a datagram, so while handlers are quick only
/// every fourth is followed by one.
class meter {
 public:
  using clock = std::chrono::steady_clock;
  class turn;

  std::chrono::nanoseconds handler_time() const noexcept { return handler_time_; }
  /// What a handler took when last read.
  std::chrono::nanoseconds each() const noexcept { return each_; }
  /// Whether handlers have been brief for a while: done before another worker would be awake.
  bool brief() const noexcept { return score_ >= brief_score; }
  /// Whether not even one of the last readings was long, nor what was done about datagrams that were dropped.
  bool always_brief() const noexcept { return brief_in_a_row_ == enough_in_a_row; }

  /// A handler that takes less is done before another worker would be awake, and so that a clock reading is worth
  /// saving.
  static constexpr std::chrono::microseconds brief_handler{10};

 private:
  /// Each brief reading adds 1 to the score, each other one takes several away: a few long ones among hundreds, or a
  /// preemption, change nothing, and one in nine does.
  static constexpr unsigned brief_score = 32, best_score = 64, cost_of_long = 8;
  static constexpr unsigned enough_in_a_row = 64;

  std::chrono::nanoseconds handler_time_{0};
  std::chrono::nanoseconds each_{0};
  clock::duration receive_cost_{0};
  unsigned readings_ = 0;  // of the clock, in busy turns
  unsigned score_ = 0;
  unsigned brief_in_a_row_ = 0;
  bool quick_ = false;  // the handlers before the last reading
};

/// Measures during a turn of the pump, however it ends, and tells the pool.
class meter::turn {
 public:
  /// `link` is null outside of a pool, and becomes so when the pump finds itself in the child of a fork.
  turn(meter& sums, clock::time_point now, const std::shared_ptr<worker_link>& link, std::size_t lane) noexcept
      : sums_{sums}, link_{link}, lane_{lane}, read_at_{now} {}
  ~turn() {
    read();
    if (link_) link_->resting();
  }
  turn(const turn&) = delete;
  turn& operator=(const turn&) = delete;

  /// Before the handler is called.
  void received(bool first) noexcept {
    if (left_out_) {
      go_on();
      unread_ = received_outside_ = 1;
    } else if (unread_++ == 0 && !received_before_ && (first || ++sums_.readings_ % 4 == 0)) {
      sums_.receive_cost_ = clock::now() - read_at_;
    }
    if (link_) link_->handling(read_at_);
  }
  /// Many datagrams are received now: not the handler's time.
  void batch_begins() noexcept {
    read();
    received_before_ = false;
  }
  /// Those that were received are handled, one after the other.
  void batch_came() noexcept {
    read_at_ = clock::now();
    received_before_ = true;
  }
  /// What follows is not the handler's time.
  void leave_out() noexcept {
    read();
    left_out_ = true;
  }
  void go_on() noexcept {
    if (std::exchange(left_out_, false)) read_at_ = clock::now();
  }
  /// The same after a datagram that is dropped, which was no work; unless somebody was told, who may have taken his
  /// time, the clock is read when a handler is called, or after some more of these.
  void dropped(bool was_told) noexcept {
    const auto before = read_at_;
    ++dropped_;
    if (was_told || dropped_ % 8 == 0) go_on();
    if (was_told && read_at_ - before >= brief_handler) {
      sums_.brief_in_a_row_ = 0;
    } else if (dropped_ % 4 == 0) {
      sums_.brief_in_a_row_ = std::min(sums_.brief_in_a_row_ + 1, enough_in_a_row);
    }
  }
  bool read_if_due() noexcept {
    if (unread_ < (sums_.quick_ ? 4u : 1u)) return false;
    read();
    return true;
  }
  /// Nothing to measure since the last reading: does nothing.
  void read() noexcept;
  /// The last reading of the clock.
  clock::time_point read_at() const noexcept { return read_at_; }

 private:
  meter& sums_;
  const std::shared_ptr<worker_link>& link_;
  const std::size_t lane_;
  clock::time_point read_at_;
  unsigned unread_ = 0;            // datagrams since
  unsigned received_outside_ = 0;  // those of them that were received before
  unsigned dropped_ = 0;
  bool left_out_ = false;
  bool received_before_ = false;
};

}  // namespace udppump::detail
