#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "sys/cut_text.hpp"
#include "udppump/lanes.hpp"

namespace udppump::detail {

using shared_count = std::atomic<std::uint64_t>;
static_assert(shared_count::is_always_lock_free && std::atomic<std::uint32_t>::is_always_lock_free);

/// For counts with one writer: no locked instruction.
inline void add(shared_count& count, std::uint64_t amount) noexcept {
  count.store(count.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
}

/// How times stand on a page: CLOCK_MONOTONIC, which is the same in all processes.
inline std::uint64_t nanoseconds_of(std::chrono::steady_clock::time_point at) noexcept {
  return static_cast<std::uint64_t>(at.time_since_epoch().count());
}

enum class page_state : std::uint32_t { free = 0, starting = 1, serving = 2, stopping = 4 };

/// A bit of worker_page::orders.
constexpr std::uint32_t order_stop = 1;

constexpr std::size_t error_kinds = 5;  // receive_error::kind

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

/// The last of the errors of a kind that a worker met while receiving. The text is in pieces, as it may be written
/// while it is read; then it is a mixture, and still ends.
struct told_errors {
  static constexpr std::size_t longest = 512;  // more than any of our own texts with any name of an interface

  shared_count count;
  /// An error code's value, 0 for none.
  std::atomic<std::int32_t> code;
  shared_count text[longest / sizeof(std::uint64_t)];
};

/// What a worker counts for each lane; without lanes, all of it for the first.
struct lane_counts {
  shared_count received, bytes, handled, handler_time;
  /// Datagrams that were taken and not given to a handler.
  shared_count ignored, quarantined, expired, limited;
  /// Datagrams of which it is known how long they waited (worker_page::ages), and that time together.
  shared_count aged, age_time;
};

/// What outlives a worker: the parent adds it up (board_header::before). Nothing but counts.
struct worker_counts {
  lane_counts lanes[most_lanes];
  shared_count times[time_buckets];  // in the handler
  /// From the arrival of a datagram to when it was taken, of one in some.
  shared_count ages[time_buckets];
  shared_count kicks;  // the parent's

  static constexpr std::size_t size = most_lanes * (sizeof(lane_counts) / sizeof(shared_count)) + 2 * time_buckets + 1;
  std::span<shared_count, size> all() noexcept { return std::span<shared_count, size>{&lanes[0].received, size}; }
};
static_assert(sizeof(worker_counts) == worker_counts::size * sizeof(shared_count));

/// Over all lanes.
inline std::uint64_t sum_of(const worker_counts& counts, shared_count lane_counts::*which) noexcept {
  std::uint64_t all = 0;
  for (const lane_counts& each : counts.lanes) all += (each.*which).load(std::memory_order_relaxed);
  return all;
}

/// Cut to the room there is, and ended.
template <std::size_t Room>
void show_text(char (&room)[Room], std::string_view text) noexcept {
  text = cut(text, Room - 1);
  std::copy_n(text.data(), text.size(), room);
  room[text.size()] = '\0';
}

/// What a worker and its pool tell each other, in memory that both processes share, and that whoever wants to look may
/// read (pool_status). The parent writes the first part, the worker the second. All of it is atomic without a lock, and
/// each count has one writer. A change here is a new layout_version (pool/board.hpp).
struct alignas(64) worker_page {
  std::atomic<std::uint32_t> orders;
  /// Raised by the parent when the worker should look at its sockets although nothing woke it.
  std::atomic<std::uint32_t> looks;
  std::atomic<std::int32_t> pid;
  std::atomic<std::uint32_t> number;
  shared_count started_at;  // CLOCK_MONOTONIC, nanoseconds
  /// A bit for each lane of the pool; looked at again when `looks` is raised.
  std::atomic<std::uint32_t> served_lanes;

  alignas(64) std::atomic<page_state> state;
  std::atomic<std::uint32_t> full;
  /// CLOCK_MONOTONIC, nanoseconds; 0 while in no handler.
  shared_count handling_since;
  worker_counts counts;
  /// Tickets that are out, by lane. Threads that return some later may have begun before the page was emptied: it may
  /// be negative then.
  std::atomic<std::int64_t> in_flight[most_lanes];
  /// Whether some pump knows when its datagrams came.
  std::atomic<std::uint32_t> knows_ages;
  /// A waiter_kind, and why it is not another (waiter_report); written once, or a few times, and then no text twice.
  std::atomic<std::uint32_t> waiter;
  char waiter_fallback[240];
  /// Why the worker ends, for the parent's log.
  char last_words[240];
  /// By receive_error::kind, those that no on_error heard. `errors_are_new` is set by the worker with one more, and
  /// taken back by the parent when it looks.
  told_errors errors[error_kinds];
  std::atomic<std::uint32_t> errors_are_new;
};

inline std::uint64_t handled_by(const worker_page& page) noexcept { return sum_of(page.counts, &lane_counts::handled); }

/// Datagrams that the worker took out of its sockets.
inline std::uint64_t taken_by(const worker_page& page) noexcept {
  std::uint64_t all = 0;
  for (const auto which : {&lane_counts::received, &lane_counts::ignored, &lane_counts::quarantined,
                           &lane_counts::expired, &lane_counts::limited}) {
    all += sum_of(page.counts, which);
  }
  return all;
}

}  // namespace udppump::detail
