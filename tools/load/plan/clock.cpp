#include "load/plan/clock.hpp"

#include <sys/prctl.h>
#include <time.h>

#include <algorithm>
#include <cerrno>

namespace udppump::load {
namespace {

using namespace std::chrono_literals;

nanoseconds read_clock(clockid_t clock) noexcept {
  timespec now{};
  ::clock_gettime(clock, &now);
  return std::chrono::seconds{now.tv_sec} + nanoseconds{now.tv_nsec};
}

void sleep_until(nanoseconds when) noexcept {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(when);
  const timespec deadline{.tv_sec = seconds.count(), .tv_nsec = (when - seconds).count()};
  while (::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &deadline, nullptr) == EINTR) continue;
}

}  // namespace

nanoseconds monotonic_now() noexcept { return read_clock(CLOCK_MONOTONIC); }
nanoseconds wall_now() noexcept { return read_clock(CLOCK_REALTIME); }
nanoseconds wall_ahead_of_monotonic() noexcept {
  nanoseconds ahead{0};
  nanoseconds narrowest = nanoseconds::max();
  for (int attempt = 0; attempt < 10 && narrowest > 1us; ++attempt) {
    const nanoseconds before = monotonic_now();
    const nanoseconds wall = wall_now();
    const nanoseconds after = monotonic_now();
    if (after - before >= narrowest) continue;
    narrowest = after - before;
    ahead = wall - (before + narrowest / 2);
  }
  return ahead;
}

nanoseconds thread_cpu_now() noexcept { return read_clock(CLOCK_THREAD_CPUTIME_ID); }

void ask_for_exact_timers() noexcept { ::prctl(PR_SET_TIMERSLACK, 1UL); }

punctual_sleep::punctual_sleep(nanoseconds spin_limit) noexcept
    : spin_limit_{spin_limit}, lead_{std::min(spin_limit, nanoseconds{20us})} {}

void punctual_sleep::until(nanoseconds when) noexcept {
  const nanoseconds wake = when - lead_;
  if (wake > monotonic_now()) {
    sleep_until(wake);
    // Equal steps up and down settle at the median, which one sleep that was late by milliseconds does not move.
    const nanoseconds step = monotonic_now() - wake > lead_ ? 500ns : -500ns;
    lead_ = std::clamp(lead_ + step, nanoseconds{0}, spin_limit_);
  }
  while (monotonic_now() < when) continue;
}

}  // namespace udppump::load
