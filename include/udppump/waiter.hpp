#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "udppump/export.hpp"

namespace udppump {

/// How an idle pump waits for its socket.
enum class waiter_kind {
  /// What the environment variable UDPPUMP_WAITER says ("uring", "thread" or "poll"), else the first of these that
  /// works here. Written "auto".
  automatic,
  /// A one-shot exclusive poll on an io_uring: no thread, one wake-up per datagram, first come first served. Linux 6.1,
  /// not inside containers that forbid io_uring.
  uring,
  /// A thread that waits in an epoll of its own, exclusively, and never receives. Linux 4.5.
  thread,
  /// A thread that waits in poll(2) and never receives. Needs nothing else. Not exclusive: each datagram wakes every
  /// idle
  /// process.
  poll,
};

/// "auto", "uring", "thread" or "poll".
UDPPUMP_EXPORT std::string_view to_string(waiter_kind kind) noexcept;
/// Reads what to_string() writes; nothing if it is none of these.
UDPPUMP_EXPORT std::optional<waiter_kind> parse_waiter_kind(std::string_view text) noexcept;

/// What a pump waits with, and why.
struct waiter_report {
  /// Never automatic.
  waiter_kind kind;
  /// Empty if this was the first choice or was asked for; else what was tried before and how it failed, for example
  /// "io_uring_setup: forbidden here (...): Operation not permitted; using thread".
  std::string fallback;
};

}  // namespace udppump
