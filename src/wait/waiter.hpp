#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

#include "sys/wake_signal.hpp"
#include "udppump/export.hpp"
#include "udppump/waiter.hpp"

namespace udppump::detail {

/// Names one arming of one socket: the pump's slot in its group, and a number that no other arming of it has. So a
/// firing that comes late is recognised.
struct arming {
  std::uint32_t slot;
  std::uint32_t turn;
  friend bool operator==(const arming&, const arming&) = default;

  std::uint64_t packed() const noexcept { return std::uint64_t{turn} << 32 | slot; }
  static arming unpack(std::uint64_t packed) noexcept {
    return {static_cast<std::uint32_t>(packed), static_cast<std::uint32_t>(packed >> 32)};
  }
};

struct firing {
  arming which;
  /// poll(2) bits; negative for an error of the waiting itself (-errno).
  int events;
};

/// What sleeps while no datagram is there: an event loop that watches the wake_signal, or wait().
enum class sleeper : std::uint8_t { nobody_yet, event_loop, wait };

/// Waits for sockets, once each: an armed socket fires at most once, and after that takes no wake-up away from an idle
/// worker until it is armed again.
///
/// Notifies the wake_signal when something fired; collect() returns it. All calls on one thread.
class waiter {
 public:
  virtual ~waiter() = default;
  virtual waiter_kind kind() const noexcept = 0;

  /// Fires when `fd` has something, at once if it has it now. May be put off until the next collect() or wait().
  virtual std::error_code arm(arming which, int fd) noexcept = 0;
  /// When it returns, `which` is in no wait queue any more. It may still be reported by collect() if it fired before.
  virtual void disarm(arming which, int fd) noexcept = 0;
  /// A socket that has fired is not armed soon again, or leaves: nothing of it may be left here. The waiter may keep
  /// one until then, if that takes no wake-up away from others.
  virtual void forget(std::uint32_t slot) noexcept { static_cast<void>(slot); }
  /// Makes the wake_signal readable, or wait() return, when `delay` is over. Ignored while an earlier delay runs.
  virtual void wake_after(std::chrono::nanoseconds delay) noexcept = 0;

  /// Comes before the other calls, and whenever it changes; from then on only the calling thread may use the waiter.
  virtual std::error_code serve(sleeper who) noexcept = 0;
  /// Appends what has fired. Never blocks.
  virtual std::error_code collect(std::vector<firing>& fired) noexcept = 0;
  /// The same, but waits until something fired, the wake_signal was notified (it is then cleared), or the time of
  /// wake_after() has come. May return without any of that: after a signal, for example.
  virtual std::error_code wait(std::vector<firing>& fired) noexcept = 0;
  /// Whether collect() would find something new. Cheap.
  virtual bool pending() const noexcept = 0;
  /// Whether the only socket armed here has fired, without collecting it; false if that is not certain.
  virtual bool only_one_fired() const noexcept { return false; }
  /// Whether arming a socket that has something already costs no more than a receive that finds nothing.
  virtual bool looks_when_armed() const noexcept { return false; }

  /// In the child of a fork: forget the thread, ring or lock that stayed with the parent.
  virtual void abandon() noexcept = 0;
};

struct chosen_waiter {
  std::unique_ptr<detail::waiter> waiter = {};
  std::string fallback = {};     // as waiter_report::fallback
  bool may_be_replaced = false;  // nobody insisted on this kind
  /// Another is chosen for another sleeper; nobody_yet: this one is for all.
  sleeper chosen_for = sleeper::nobody_yet;

  bool suits(sleeper who) const noexcept { return chosen_for == sleeper::nobody_yet || chosen_for == who; }
};

/// What UDPPUMP_WAITER says where the program asks for `automatic`. Throws std::system_error (EINVAL) if it names none
/// of the kinds.
UDPPUMP_EXPORT waiter_kind asked_waiter(waiter_kind kind);  // exported for udppump::pool
/// For `who`, as asked_waiter() gave `kind`. Throws std::system_error if none works here. `signal` is shared with the
/// waiter's own thread.
chosen_waiter choose_waiter(waiter_kind kind, sleeper who, const std::shared_ptr<wake_signal>& signal);

/// What a refused ring says helps.
inline constexpr char without_ring[] = "choose the waiter epoll, thread or poll";

/// The kinds one by one; each throws std::system_error with cause and cure.
std::unique_ptr<waiter> make_uring_waiter(const std::shared_ptr<wake_signal>& signal);
std::unique_ptr<waiter> make_epoll_waiter(const std::shared_ptr<wake_signal>& signal);
std::unique_ptr<waiter> make_epoll_thread_waiter(const std::shared_ptr<wake_signal>& signal);
std::unique_ptr<waiter> make_poll_waiter(const std::shared_ptr<wake_signal>& signal);

}  // namespace udppump::detail
