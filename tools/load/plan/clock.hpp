#pragma once

#include <chrono>

namespace udppump::load {

using std::chrono::nanoseconds;

/// Longer than every duration that was measured; stands for "was never answered".
inline constexpr nanoseconds unanswered = nanoseconds::max();

/// CLOCK_MONOTONIC: the same in all processes of this machine, never set back.
nanoseconds monotonic_now() noexcept;
/// CLOCK_REALTIME: the clock of the kernel's receive times (SO_TIMESTAMPNS, socket(7)).
nanoseconds wall_now() noexcept;
/// wall_now() less monotonic_now(), to within a microsecond even if the thread is interrupted between reading the
/// one and the other. It changes only when somebody sets the wall clock.
nanoseconds wall_ahead_of_monotonic() noexcept;
/// CPU time of the calling thread.
nanoseconds thread_cpu_now() noexcept;

/// Timers of the calling thread, and of threads and processes it makes later, fire when they are due. By default the
/// kernel may be 50 us late (PR_SET_TIMERSLACK, prctl(2)).
void ask_for_exact_timers() noexcept;

/// Ends when a time has come, although a timer wakes its thread some tens of microseconds late: it sleeps until a
/// little before, and spins for the rest. How much before is learnt from how late it woke until now (their median), so
/// that it spins no longer than the machine makes necessary: a few microseconds a sleep. Belongs to one thread.
class punctual_sleep {
 public:
  /// Never wakes more than `spin_limit` early; 0 never spins, and is late by what a timer is late.
  explicit punctual_sleep(nanoseconds spin_limit) noexcept;
  /// Returns at `when` of monotonic_now() or after it, at once if it is past.
  void until(nanoseconds when) noexcept;

 private:
  nanoseconds spin_limit_;
  nanoseconds lead_;
};

}  // namespace udppump::load
