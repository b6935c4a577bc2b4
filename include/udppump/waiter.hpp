#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "udppump/export.hpp"

namespace udppump {

/// How an idle pump waits for its socket.
enum class waiter_kind {
  /// What the environment variable UDPPUMP_WAITER says (one of the names below), else the first of these that works
  /// here: epoll for run(); uring, thread, poll for event loops. Written "auto".
  automatic,
  /// The thread that is in run() sleeps in an epoll of its own, exclusively: no other thread, one wake-up per datagram.
  /// The kernel passes over a worker that is awake or stopped. Of several idle workers the same few get most datagrams.
  /// Linux 4.5. It cannot wake an event loop; there, `thread` is used instead.
  epoll,
  /// A one-shot exclusive poll on an io_uring: no thread, one wake-up per datagram, and of several idle workers the one
  /// that has waited longest gets it. Linux 6.1, not inside containers that forbid io_uring.
  uring,
  /// A thread that waits in an epoll of its own, exclusively, and never receives. Linux 4.5.
  thread,
  /// A thread that waits in poll(2) and never receives. Needs nothing else. Not exclusive: each datagram wakes every
  /// idle process.
  poll,
};

/// "auto", "epoll", "uring", "thread" or "poll".
UDPPUMP_EXPORT std::string_view to_string(waiter_kind kind) noexcept;
/// Reads what to_string() writes; nothing if it is none of these.
UDPPUMP_EXPORT std::optional<waiter_kind> parse_waiter_kind(std::string_view text) noexcept;

/// What a pump waits with, and why. Settled by the first dispatch() or run(): an event loop and run() may be served by
/// different waiters.
struct waiter_report {
  /// Never automatic.
  waiter_kind kind;
  /// Empty if this was the first choice or was asked for; else what was asked for or tried before and why it is not
  /// this, for example "io_uring_setup: Operation not permitted; kernel.io_uring_disabled or ...; using thread". If
  /// `epoll` was asked for, and an event loop sleeps, it says so.
  std::string fallback;
};

/// What run() of a pump, a group or a pool's worker that is made with `asked` would wait with, here and now: until it
/// runs, waiter() of a pump tells what an event loop would wait with. Throws as the constructor of a pump.
UDPPUMP_EXPORT waiter_report run_waiter(waiter_kind asked = waiter_kind::automatic);

}  // namespace udppump
