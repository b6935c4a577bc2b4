#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "udppump/client_limit.hpp"

namespace udppump::detail {

/// What the clients have used of their limit: rows of entries in memory that is shared with forked processes. An entry
/// is one word: which client of its row it is, and when that client will have its whole burst again (the generic cell
/// rate algorithm, ITU-T I.371). So it is changed at once or not at all, and one whose time is over is free.
class client_table {
 public:
  using time_point = std::chrono::steady_clock::time_point;
  static constexpr std::size_t rows = 4096, row_length = 8;  // a row is a cache line
  /// How many datagrams one read can hold.
  static constexpr std::uint64_t most_at_once = 64;

  /// Throws as client_limit.
  explicit client_table(const client_rate& rule);
  ~client_table();
  client_table(const client_table&) = delete;
  client_table& operator=(const client_table&) = delete;

  bool admits(const address& from, time_point now, std::size_t count) noexcept;

 private:
  using word = std::atomic<std::uint64_t>;
  static_assert(word::is_always_lock_free && sizeof(word) == 8);

  /// Of the client that an address belongs to; nothing if it is none of the Internet.
  std::optional<std::uint64_t> hash_of(const address& from) const noexcept;
  std::uint64_t debt_of(std::uint64_t entry, std::uint64_t now) const noexcept;
  bool is_sweep_due(std::uint64_t now) const noexcept;
  void sweep(std::uint64_t now) noexcept;

  const std::uint64_t interval_;   // between two datagrams at the rate, in the table's units of time
  const std::uint64_t tolerance_;  // how much of that may be owed when another datagram is served
  const unsigned ipv4_prefix_, ipv6_prefix_;
  std::uint64_t key_[2] = {};
  word* entries_ = nullptr;
  word* swept_ = nullptr;  // behind the entries: when the last sweep was, in full; 0: there was no datagram yet
};

}  // namespace udppump::detail
