#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "socket/control_message.hpp"

namespace udppump::detail {

/// The memory that a pool's parent shares with its workers, and with whoever wants to look (pool_status): one
/// board_header, then worker_pages, then kept_datagrams, at the distances that the header tells. A change of any of
/// these structures is a new layout_version. Everything that two processes touch is an atomic without a lock; a
/// worker's numbers have one writer.
constexpr std::uint32_t layout_version = 1;
constexpr char board_name[] = "udppump-pool";  // of the memfd
constexpr char board_magic[8] = {'u', 'd', 'p', 'p', 'u', 'm', 'p', '\0'};

using shared_count = std::atomic<std::uint64_t>;
static_assert(shared_count::is_always_lock_free && std::atomic<std::uint32_t>::is_always_lock_free);

/// For counts with one writer: no locked instruction.
inline void add(shared_count& count, std::uint64_t amount) noexcept {
  count.store(count.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
}

/// How times stand on the board: CLOCK_MONOTONIC, which is the same in all processes.
inline std::uint64_t nanoseconds_of(std::chrono::steady_clock::time_point at) noexcept {
  return static_cast<std::uint64_t>(at.time_since_epoch().count());
}

struct board_header {
  char magic[8];
  std::uint32_t version;
  std::uint32_t pages, page_distance;
  std::uint32_t kept, kept_distance;  // kept: 0 without redeliver
  std::uint32_t payload_limit;
  std::uint64_t pages_at, kept_at;
  std::atomic<std::int32_t> parent;
  /// What anyone wants of the parent, in bits; it is then notified.
  std::atomic<std::uint32_t> requests;
  /// Raised whenever a kept datagram is offered: time to look for one.
  std::atomic<std::uint32_t> offers;
  shared_count restarts, reloads, redelivered, poisoned, abandoned;
};

enum class page_state : std::uint32_t { free = 0, starting = 1, serving = 2, stopping = 4 };

/// Orders to a worker, and requests to the parent.
constexpr std::uint32_t order_stop = 1;
constexpr std::uint32_t request_stop = 1, request_reload = 2;

constexpr std::size_t time_buckets = 304;  // up to 18 minutes

/// As handler_times describes them.
inline std::size_t bucket_of(std::uint64_t nanoseconds) noexcept {
  if (nanoseconds < 8) return 0;
  const unsigned top = 63u - static_cast<unsigned>(std::countl_zero(nanoseconds));
  const std::size_t bucket = (top - 3) * 8 + ((nanoseconds >> (top - 3)) & 7) + 1;
  return std::min(bucket, time_buckets - 1);
}
/// The first value that is not in `bucket` any more.
inline std::uint64_t bucket_end(std::size_t bucket) noexcept {
  if (bucket == 0) return 8;
  const auto top = static_cast<unsigned>((bucket - 1) / 8) + 3;
  return (std::uint64_t{9} + (bucket - 1) % 8) << (top - 3);
}

/// One worker. The parent writes the first part, the worker the second.
struct alignas(64) worker_page {
  std::atomic<std::uint32_t> orders;
  /// Raised by the parent when the worker should look at its sockets although nothing woke it.
  std::atomic<std::uint32_t> looks;
  std::atomic<std::int32_t> pid;
  std::atomic<std::uint32_t> number;
  shared_count started_at;  // CLOCK_MONOTONIC, nanoseconds
  shared_count kicks;

  alignas(64) std::atomic<page_state> state;
  std::atomic<std::uint32_t> full;
  /// CLOCK_MONOTONIC, nanoseconds; 0 while in no handler.
  shared_count handling_since;
  shared_count received, bytes, handled, handler_time;
  shared_count times[time_buckets];
  /// Why the worker ends, for the parent's log.
  char last_words[240];
};

/// A datagram that outlives the worker that handles it. The kernel itself writes all of it, so that no moment lies
/// between taking the datagram and having it here: recvmmsg(2) stores the length in the header before it returns, and a
/// process is killed only between system calls.
struct kept_datagram {
  /// Of a datagram that is handed over (a worker's own buffer stays free): taken + the page of the worker that has it,
  /// in one word, so that nobody can die between taking it and saying so.
  static constexpr std::uint32_t free = 0, offered = 1, taken = 2;
  std::atomic<std::uint32_t> state;
  std::uint32_t deaths;  // of workers that had it
  std::uint32_t socket;  // index in the pool
  /// Its msg_len is `nothing` but while a datagram is here. Its pointers are the worker's own, and mean nothing to
  /// others.
  mmsghdr header;
  iovec part;
  sockaddr_storage from;
  alignas(cmsghdr) std::byte control[control_capacity];

  static constexpr unsigned nothing = ~0u;
  std::byte* payload() noexcept { return reinterpret_cast<std::byte*>(this + 1); }
  const std::byte* payload() const noexcept { return reinterpret_cast<const std::byte*>(this + 1); }
};

inline worker_page& page_at(board_header& board, std::uint32_t index) noexcept {
  auto* const bytes = reinterpret_cast<std::byte*>(&board) + board.pages_at;
  return *reinterpret_cast<worker_page*>(bytes + std::size_t{index} * board.page_distance);
}
/// The workers' own come first, one for each page; then those for handing over.
inline kept_datagram& kept_at(board_header& board, std::uint32_t index) noexcept {
  auto* const bytes = reinterpret_cast<std::byte*>(&board) + board.kept_at;
  return *reinterpret_cast<kept_datagram*>(bytes + std::size_t{index} * board.kept_distance);
}

}  // namespace udppump::detail
