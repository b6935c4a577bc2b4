#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace udppump::detail {

/// What clients owe: rows of entries in memory that is shared with forked processes. An entry is one word: which client
/// of its row it is, and until when it owes something (the generic cell rate algorithm, ITU-T I.371), on any clock that
/// only goes forward, modulo 2^44. So it is changed at once or not at all, and one whose time is over is free.
class client_rows {
 public:
  static constexpr std::size_t rows = 4096, row_length = 8;  // a row is a cache line
  static constexpr unsigned time_bits = 44;
  static constexpr std::uint64_t time_mask = (std::uint64_t{1} << time_bits) - 1;
  /// How many datagrams one read can hold.
  static constexpr std::uint64_t most_at_once = 64;

  struct terms {
    /// What each datagram costs.
    std::uint64_t cost;
    /// How much may be owed when another datagram is served.
    std::uint64_t tolerance;
    /// How long ago the time may be that a worker knows, who has read the clock and was then kept from going on.
    std::uint64_t lateness;

    /// Nobody can owe more, not even to such a worker.
    std::uint64_t longest_debt() const noexcept { return tolerance + most_at_once * cost + lateness; }
  };

  /// `option` is for whom; throws std::system_error.
  explicit client_rows(const char* option);
  ~client_rows();
  client_rows(const client_rows&) = delete;
  client_rows& operator=(const client_rows&) = delete;

  /// Whether the client with this hash may have `count` datagrams served now; if so, it owes for them.
  bool admits(std::uint64_t hash, std::uint64_t now, std::size_t count, const terms& by) noexcept;
  /// Frees the entries whose time is over; if `all`, all. Several processes may do this at once.
  void sweep(std::uint64_t now, const terms& by, bool all) noexcept;
  /// A word of the shared memory beside the entries, for whoever has the rows. Begins as 0.
  std::atomic<std::uint64_t>& note() noexcept { return entries_[entry_count]; }

 private:
  using word = std::atomic<std::uint64_t>;
  static_assert(word::is_always_lock_free && sizeof(word) == 8);
  static constexpr std::size_t entry_count = rows * row_length;

  word* entries_;
};

}  // namespace udppump::detail
