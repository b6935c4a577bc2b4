#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "udppump/export.hpp"

namespace udppump {

/// What a worker is doing, as far as the memory that it shares with its pool tells.
enum class worker_state : std::uint8_t {
  starting = 1,
  /// Between datagrams, or in code of its event loop that is not the pump's.
  idle = 2,
  handling = 3,
  stopping = 4,
};

UDPPUMP_EXPORT std::string_view to_string(worker_state state) noexcept;

/// Times in the handler: bucket 0 counts those below 8 ns; above, each doubling is cut into 8 buckets, so that a value
/// is known to 1/8. Datagrams that are handled in less than ten microseconds are timed four at a time.
struct handler_times {
  std::vector<std::uint64_t> counts;

  std::uint64_t total() const noexcept;
  /// The time that the share `part` of all handlers stayed under (0.99: the 99th percentile), to the bucket's upper
  /// end; 0 if nothing was handled.
  std::chrono::nanoseconds percentile(double part) const noexcept;
};

struct worker_status {
  std::size_t number = 0;
  pid_t pid = 0;
  worker_state state = worker_state::starting;
  std::chrono::nanoseconds uptime{0};
  /// How long it has been in its handler; 0 if it is in none.
  std::chrono::nanoseconds handling_for{0};
  /// Datagrams given to the handler, their payload's bytes, and how many of them it has finished.
  std::uint64_t received = 0, bytes = 0, handled = 0;
  /// Datagrams dropped before the handler: for their source (pump_options::ignore_from); because their sender is in
  /// quarantine.
  std::uint64_t ignored = 0, quarantined = 0;
  /// Datagrams dropped before the handler because they had waited too long (pump_options::max_age).
  std::uint64_t expired = 0;
  /// Datagrams dropped before the handler because their client had sent too many (pump_options::client_limit,
  /// client_share).
  std::uint64_t limited = 0;
  std::chrono::nanoseconds handler_time{0};
  handler_times times;
  /// How often the parent woke it because a datagram waited and no worker took it.
  std::uint64_t kicks = 0;
};

/// What a pool is doing, read from the memory it shares with its workers: a snapshot, each number exact, all of them
/// together not at one instant. Reading costs the pool nothing. All of it is that process's own account, in which each
/// of its workers can write (docs/security.md): whatever it holds, reading it does no harm, but do not act on an id or
/// a count of workers that you do not trust.
struct UDPPUMP_EXPORT pool_status {
  pid_t parent = 0;
  /// How many workers there are to be, and how many there may be (pool_options::max_workers); how often that number was
  /// ordered to be another one (worker_pool::request_scale), whether or not it then was.
  std::size_t workers_wanted = 0, max_workers = 0;
  std::uint64_t scale_orders = 0;
  std::uint64_t restarts = 0, reloads = 0;
  /// Datagrams given to another worker after theirs died; dropped as poisoned; lost for want of room to keep them.
  std::uint64_t redelivered = 0, poisoned = 0, abandoned = 0;
  /// Times that a sender was put in quarantine (pool_options::quarantine).
  std::uint64_t quarantines = 0;
  /// Datagrams that workers dropped because they had waited too long: of those alive, and of those before them.
  std::uint64_t expired = 0;
  /// Datagrams that workers dropped because their client had sent too many, likewise.
  std::uint64_t limited = 0;
  /// Workers alive, in the order of their numbers.
  std::vector<worker_status> workers;

  /// Of the pool whose parent is `parent`. Throws std::system_error: ESRCH if that process runs no pool, EACCES
  /// if it is another user's, or has dropped privileges (then root may: prctl(2), PR_SET_DUMPABLE), EPROTO if its
  /// memory is of another version, or not what a pool writes.
  static pool_status of(pid_t parent);
};

}  // namespace udppump
