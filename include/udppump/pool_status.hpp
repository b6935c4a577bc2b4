#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "udppump/export.hpp"
#include "udppump/pool_options.hpp"
#include "udppump/waiter.hpp"

namespace udppump {

/// What a pool's workers are: handlers in this program, which tell what they do, or programs that receive by
/// themselves.
enum class worker_kind : std::uint8_t { unknown, handlers, programs };

UDPPUMP_EXPORT std::string_view to_string(worker_kind kind) noexcept;

/// What a worker is doing, as far as the memory that it shares with its pool tells.
enum class worker_state : std::uint8_t {
  starting = 1,
  /// Between datagrams, or in code of its event loop that is not the pump's.
  idle = 2,
  handling = 3,
  stopping = 4,
  /// A program, of which no more is known.
  serving = 5,
};

UDPPUMP_EXPORT std::string_view to_string(worker_state state) noexcept;

/// Counts of times, by their length. Bucket 0 counts those below 8 ns; above, each doubling is cut into 8 buckets, so
/// that a value is known to 1/8.
struct UDPPUMP_EXPORT time_histogram {
  std::vector<std::uint64_t> counts;
  /// All of these times together.
  std::chrono::nanoseconds sum{0};

  std::uint64_t total() const noexcept;
  /// The time that the share `part` of them stayed under (0.99: the 99th percentile), to the bucket's upper end;
  /// nothing if none was counted.
  std::optional<std::chrono::nanoseconds> percentile(double part) const noexcept;
  /// How many were below `limit`, if that is the end of a bucket; else up to the end of the bucket before.
  std::uint64_t below(std::chrono::nanoseconds limit) const noexcept;
  /// The first time that is not in this bucket any more; the last bucket has all that is longer.
  static std::chrono::nanoseconds end_of(std::size_t bucket) noexcept;
};

/// What workers did with datagrams: since each began, or, of a pool, since its parent did. Of a pool, no count ever
/// becomes smaller, whichever workers die.
struct traffic_counts {
  /// Datagrams given to the handler, their payload's bytes, and how many of them it has finished.
  std::uint64_t received = 0, bytes = 0, handled = 0;
  /// Datagrams dropped before the handler: for their source (pump_options::ignore_from); because their sender is in
  /// quarantine; because they had waited too long (max_age); because their client had sent too many (client_limit,
  /// client_share).
  std::uint64_t ignored = 0, quarantined = 0, expired = 0, limited = 0;
  std::chrono::nanoseconds handler_time{0};
  /// Tickets that are out now (datagram::hold()).
  std::uint64_t in_flight = 0;
  /// Datagrams of which it is known how long they waited, and how long that was together; see traffic::ages.
  std::uint64_t aged = 0;
  std::chrono::nanoseconds age_time{0};
};

struct traffic {
  /// Of all lanes.
  traffic_counts all = {};
  /// By lane, in their order; empty if the pool has none.
  std::vector<traffic_counts> lanes = {};
  /// In the handler. Datagrams that are handled in less than ten microseconds are timed four at a time.
  time_histogram times = {};
  /// From the arrival of a datagram to when a worker took it, where that is known: with max_age, or
  /// socket_options::receive_time. While handlers take less than ten microseconds, one of sixteen stands for all.
  std::optional<time_histogram> ages = {};
};

/// What the kernel says of a process, or of all in the session of a program that is a worker. Not known: it may not be
/// looked at (proc(5), hidepid).
struct process_usage {
  /// Of the processors: its own time. Of a program, which may start a process for each request, also that of children
  /// that have ended and were waited for.
  std::chrono::nanoseconds cpu{0};
  /// Context switches, of threads that live: for want of something to do, and because another was due.
  std::uint64_t voluntary_switches = 0, involuntary_switches = 0;
  /// Resident memory (RSS), with what is shared; nothing for a thread. Not PSS, for which the kernel walks through all
  /// of the process's pages.
  std::optional<std::uint64_t> resident = {};
  std::size_t processes = 1;
};

struct worker_status {
  std::size_t number = 0;
  /// Of a thread: its thread id.
  pid_t pid = 0;
  worker_state state = worker_state::starting;
  std::chrono::nanoseconds uptime{0};
  /// How long it has been in its handler; nothing if it is in none, or that is not known.
  std::optional<std::chrono::nanoseconds> handling_for = {};
  /// Nothing of programs.
  std::optional<udppump::traffic> traffic = {};
  /// How often the parent woke it because a datagram waited and no worker took it. Nothing of programs, which it
  /// cannot wake.
  std::optional<std::uint64_t> kicks = {};
  /// What its pumps wait with, and why it is not another (waiter_report::fallback); nothing of programs, and before
  /// there is a pump.
  std::optional<waiter_kind> waiter = {};
  std::string waiter_fallback = {};
  std::optional<process_usage> usage = {};
};

/// One of a pool's sockets: what the pool says, and what the kernel does.
struct socket_status {
  /// Written; "unix:PATH" of a Unix socket.
  std::string address = {};
  /// As LISTEN_FDNAMES has it.
  std::string name = {};
  /// Empty without lanes.
  std::string lane = {};
  std::size_t lane_index = 0;
  ino_t inode = 0;
  /// Bytes of memory that what waits takes, and for how many there is room, as the kernel counts them: several hundred
  /// more than its payload for each datagram. Not known of Unix sockets, nor the room, if the pool is in another
  /// network namespace.
  std::optional<std::size_t> queued = {}, room = {};
  /// Receive buffer in bytes of payload: as the options ask for it (nothing if they do not), and as it is, which is
  /// half of `room`.
  std::optional<std::size_t> buffer_asked = {}, buffer_granted = {};
  /// Datagrams that the kernel dropped here since the socket was made, modulo 2^32: there was no room, or the checksum
  /// was bad.
  std::optional<std::uint32_t> drops = {};
  /// How long the oldest of those that wait had waited when the parent last looked, which is often while any wait.
  /// Nothing if it cannot know: datagrams are stamped with max_age, max_wait or receive_time, and of handlers once a
  /// queue has become long.
  std::optional<std::chrono::nanoseconds> oldest_waits = {};
};

/// Of a pool with pool_options::redeliver.
struct redelivery_counts {
  /// Datagrams given to another worker after theirs died; dropped as poisoned; lost for want of room to keep them.
  std::uint64_t redelivered = 0, poisoned = 0, abandoned = 0;
  /// Times that a sender was put in quarantine (pool_options::quarantine).
  std::uint64_t quarantines = 0;
};

/// What a pool is doing, read from the memory it shares with its workers: a snapshot, each number exact, all of them
/// together not at one instant. What is not known is absent, and never 0. Reading costs the pool nothing. All that the
/// pool says is its own account, in which each of its workers can write (docs/security.md): whatever it holds, reading
/// it does no harm, but do not act on an id or a count of workers that you do not trust. Texts are printable.
struct UDPPUMP_EXPORT pool_status {
  pid_t parent = 0;
  /// As whom the parent runs, by the kernel.
  uid_t user = static_cast<uid_t>(-1);
  /// pool_options::name.
  std::string name = {};
  /// Of the udppump that it is made of.
  std::string version = {};
  worker_kind kind = worker_kind::unknown;
  worker_model model = worker_model::processes;
  std::chrono::nanoseconds uptime{0};
  /// How many workers there are to be, and how many there may be (pool_options::max_workers); how often that number was
  /// ordered to be another one (worker_pool::request_scale), whether or not it then was.
  std::size_t workers_wanted = 0, max_workers = 0;
  std::uint64_t scale_orders = 0;
  /// The lanes' names, in their order.
  std::vector<std::string> lanes = {};
  /// pool_options::max_age, program_options::max_wait; nothing if they are 0.
  std::optional<std::chrono::milliseconds> max_age = {}, max_wait = {};
  /// Workers that died and were replaced; reloads that were completed; workers that hung.
  std::uint64_t restarts = 0, reloads = 0, hangs = 0;
  /// Of all workers, those that are gone included. Nothing of programs.
  std::optional<std::uint64_t> kicks = {};
  /// Nothing without pool_options::redeliver.
  std::optional<redelivery_counts> redelivery = {};
  /// Of all workers, those that are gone included. Nothing of programs.
  std::optional<udppump::traffic> traffic = {};
  /// In the order in which workers have them.
  std::vector<socket_status> sockets = {};
  /// Workers alive, in the order of their numbers.
  std::vector<worker_status> workers = {};
  /// Of the parent.
  std::optional<process_usage> usage = {};

  /// Of the pool whose parent is `parent`. Throws as pool_reader.
  static pool_status of(pid_t parent);
  /// Of all pools that this process may look at, in the order of their parents' ids; one that ends meanwhile is left
  /// out, and so is one of another version.
  static std::vector<pool_status> all();
};

/// Looks at a pool again and again: finds it once, and keeps its memory open for reading. Copies share that.
class UDPPUMP_EXPORT pool_reader {
 public:
  /// The pool whose parent is `parent`. Throws std::system_error: ESRCH if that process runs no pool, EACCES if it is
  /// another user's, or has dropped privileges (then root may: prctl(2), PR_SET_DUMPABLE), unless its status_group
  /// lets this process look; EPROTO if its memory is of another version, or not what a pool writes.
  explicit pool_reader(pid_t parent);
  /// Of memory that this process was given, by its descriptor, which must be open for reading; the reader has a
  /// duplicate. Throws std::system_error: EPROTO as above, or why that cannot be.
  pool_reader(pid_t parent, int memory);
  /// All pools that this process may look at. `unheard`, if not null, is set to the number of sockets by which pools
  /// let members of their status_group look and that could not be asked, because strangers keep them full, or have
  /// bound too many such: each may be a pool's.
  static std::vector<pool_reader> all(std::size_t* unheard = nullptr);

  pid_t parent() const noexcept;
  /// Throws std::system_error: ESRCH once the pool has ended, EPROTO as the constructor.
  pool_status read() const;

 private:
  struct source;
  explicit pool_reader(std::shared_ptr<const source> from);

  std::shared_ptr<const source> from_;
};

}  // namespace udppump
