#pragma once

#include <chrono>

#include "udppump/export.hpp"

namespace udppump::detail {

/// Since when each datagram of one queue has waited, told by the kernel's stamps, which are of the wall clock. Takes
/// the datagrams in the order of the queue.
///
/// The wall clock may be set at any moment. So it is read beside the steady clock: the difference of the two changes
/// when it is set, and never else. A stamp is of before or of after that, and mostly only one of the two is possible:
/// nothing came after now, before the datagram that was taken before it, after the step by the old clock, or before
/// it by the new one. If both are, the datagram counts as the younger: it is wrong by no more than the step then.
class UDPPUMP_EXPORT arrival_clock {  // exported for udppump::pool
 public:
  using steady = std::chrono::steady_clock::time_point;
  using wall = std::chrono::sys_time<std::chrono::nanoseconds>;
  struct reading {
    steady now;
    wall shown;
  };

  static reading read() noexcept;

  /// No datagram that is taken from now on came before this.
  steady earliest() const noexcept { return earliest_; }
  /// The queue was empty at `then`, or later.
  void was_empty(steady then) noexcept {
    if (then > earliest_) earliest_ = then;
  }
  /// How long the datagram with this stamp has waited; never negative.
  std::chrono::nanoseconds age(wall stamp, const reading& at) noexcept;

 private:
  using offset = std::chrono::nanoseconds;

  void note_offset(const reading& at) noexcept;

  steady earliest_{};
  offset offset_{};  // wall clock less steady clock
  steady last_seen_{};
  bool is_known_ = false;
  /// Before the last step, which was between these two.
  offset before_{};
  steady step_from_{}, step_to_{};
  bool has_stepped_ = false;
};

}  // namespace udppump::detail
