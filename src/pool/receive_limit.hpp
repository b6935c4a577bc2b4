#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>

namespace udppump::detail {

/// How large a receive buffer should be, so that what fits in it is served within a time. Bytes as the kernel counts
/// them: whole packets with its own structures (truesize; SO_RCVBUF, as getsockopt(2) tells it).
///
/// A queue whose oldest datagram has waited for W, and holds F bytes, was given F bytes in W; if it is full, no more
/// come in than are taken out, so F/W is the rate at which they are served. No other knowledge of the workers is
/// needed. While a queue still grows, they serve less: as much less as the oldest datagram's time of arrival moves
/// slower than the clock.
class receive_limit {
 public:
  using clock = std::chrono::steady_clock;
  using nanoseconds = std::chrono::nanoseconds;

  /// `now` is what the socket has; it grows up to `most`, and shrinks down to `least`.
  receive_limit(nanoseconds max_wait, std::size_t now, std::size_t least, std::size_t most) noexcept
      : max_wait_{max_wait}, limit_{now}, least_{least}, most_{std::max(most, now)} {}

  struct seen {
    clock::time_point now;
    /// Bytes that wait, and for how long the oldest datagram has; 0 if none does.
    std::size_t fill;
    nanoseconds waits;
    /// The kernel has dropped datagrams since the last time.
    bool drops;
    /// What the socket has; others may have set it.
    std::size_t limit;
  };
  std::size_t most() const noexcept { return most_; }
  /// What it should be from now on.
  std::size_t after(const seen& what) noexcept {
    most_ = std::max(most_, what.limit);
    limit_ = what.limit;
    std::size_t wanted = limit_;
    const double pace = note_pace(what);
    if (what.waits > max_wait_) {
      // What came in before the last change tells nothing of what came of it.
      if (what.now - what.waits < changed_at_) return limit_;
      // The kernel counts what was taken out only now and then: a queue that is nearly full is full.
      const bool is_full = what.fill >= limit_ / 4 * 3;
      wanted = is_full ? scaled(limit_, what.waits)
                       : static_cast<std::size_t>(pace * static_cast<double>(scaled(what.fill, what.waits)));
    } else if (what.drops && what.now - changed_at_ > what.waits) {
      if (what.waits < max_wait_ / 2) {
        wanted = 2 * limit_;  // a burst, which is served soon
      } else if (what.fill >= limit_ / 4 * 3) {
        wanted = std::max(limit_, scaled(limit_, what.waits));
      }
    }
    wanted = std::clamp(wanted, least_, most_);
    if (what.waits > max_wait_) wanted = std::min(wanted, limit_);
    // What is as good as the same stays.
    if (wanted > limit_ - limit_ / 32 && wanted < limit_ + limit_ / 32) return limit_;
    changed_at_ = what.now;
    return limit_ = wanted;
  }

 private:
  /// How fast the oldest datagram's time of arrival moves, as a share of the clock's own pace.
  double note_pace(const seen& what) noexcept {
    const auto came = what.now - what.waits;
    double pace = 1;
    if (what.waits.count() == 0) {
      has_mark_ = false;
    } else if (!has_mark_ || what.now <= mark_at_) {
      has_mark_ = true;
      mark_at_ = what.now;
      mark_ = came;
    } else {
      pace = std::clamp(
          std::chrono::duration<double>{came - mark_} / std::chrono::duration<double>{what.now - mark_at_}, 0.001, 1.0);
      if (what.now - mark_at_ > 2 * max_wait_) {
        mark_at_ = what.now;
        mark_ = came;
      }
    }
    return pace;
  }
  std::size_t scaled(std::size_t size, nanoseconds waits) const noexcept {
    return static_cast<std::size_t>(static_cast<double>(size) * static_cast<double>(max_wait_.count()) /
                                    static_cast<double>(waits.count()));
  }

  nanoseconds max_wait_;
  std::size_t limit_, least_, most_;
  clock::time_point changed_at_{};
  clock::time_point mark_at_{}, mark_{};  // then, the oldest had come then
  bool has_mark_ = false;
};

}  // namespace udppump::detail
