#include "socket/arrival_clock.hpp"

#include <algorithm>
#include <optional>

#include "sys/sys.hpp"

namespace udppump::detail {

namespace {

/// Less is no step: two readings of which one was interrupted, stamps of several processors.
constexpr std::chrono::milliseconds slack{1};
constexpr std::chrono::microseconds prompt{20};
constexpr int tries = 3;

}  // namespace

arrival_clock::reading arrival_clock::read() noexcept {
  for (int left = tries;; --left) {
    const auto before = std::chrono::steady_clock::now();
    const wall shown{std::chrono::nanoseconds{sys::wall_clock()}};
    const auto now = std::chrono::steady_clock::now();
    if (now - before <= prompt || left == 1) return {now, shown};
  }
}

void arrival_clock::note_offset(const reading& at) noexcept {
  const offset now = at.shown.time_since_epoch() - at.now.time_since_epoch();
  if (is_known_ && (now > offset_ + slack || now < offset_ - slack)) {
    before_ = offset_;
    step_from_ = last_seen_;
    step_to_ = at.now;
    has_stepped_ = true;
  }
  is_known_ = true;
  offset_ = now;
  last_seen_ = at.now;
}

std::chrono::nanoseconds arrival_clock::age(wall stamp, const reading& at) noexcept {
  note_offset(at);
  const auto came_by = [stamp](offset by) { return steady{stamp.time_since_epoch() - by}; };
  const auto is_between = [](steady from, steady when, steady to) {
    return when >= from - slack && when <= to + slack;
  };
  const steady by_new = came_by(offset_);
  std::optional<steady> came;
  if (is_between(has_stepped_ ? std::max(earliest_, step_from_) : earliest_, by_new, at.now)) came = by_new;
  if (has_stepped_) {
    const steady by_old = came_by(before_);
    if (is_between(earliest_, by_old, step_to_) && (!came || by_old > *came)) came = by_old;
  }
  earliest_ = std::clamp(came.value_or(by_new), earliest_, std::max(earliest_, at.now));
  return std::max(std::chrono::nanoseconds{0}, std::chrono::nanoseconds{at.now - earliest_});
}

}  // namespace udppump::detail
