#pragma once

#include <cstddef>
#include <cstdint>

#include "pump/worker_page.hpp"
#include "udppump/address.hpp"
#include "udppump/export.hpp"

namespace udppump::detail {

/// What senders are told apart by: an IPv4 host, the first 64 bits of an IPv6 host (of a link-local one the last), a
/// Unix address. 0: it cannot be told apart from others.
UDPPUMP_EXPORT std::uint64_t sender_key(const address& from) noexcept;

/// Senders whose datagrams are dropped for a while, in the memory that a pool shares with its workers: the parent
/// writes, workers read, and nobody waits. A change here is a new layout_version (pool/board.hpp).
struct UDPPUMP_EXPORT quarantine_list {
  static constexpr std::size_t rows = 64, row_size = 4;
  struct entry {
    shared_count key;
    shared_count until;  // CLOCK_MONOTONIC, nanoseconds
  };

  /// Not 0 from the first entry on, so that without any a datagram costs one look here.
  std::atomic<std::uint32_t> is_used;
  entry entries[rows][row_size];

  bool holds(const address& from) const noexcept {
    return is_used.load(std::memory_order_relaxed) != 0 && holds_key(sender_key(from));
  }
  bool holds_key(std::uint64_t key) const noexcept;
  /// If there is no room, whoever would be let out first is.
  void put(std::uint64_t key, std::uint64_t now, std::uint64_t until) noexcept;
};

}  // namespace udppump::detail
