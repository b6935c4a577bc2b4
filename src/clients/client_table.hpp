#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

#include "clients/client_key.hpp"
#include "clients/client_rows.hpp"
#include "udppump/client_limit.hpp"

namespace udppump::detail {

/// What the clients have used of their limit.
class client_table {
 public:
  using time_point = std::chrono::steady_clock::time_point;

  /// Throws as client_limit.
  explicit client_table(const client_rate& rule);

  /// `last` is the caller's.
  bool admits(const address& from, time_point now, std::size_t count, last_client& last) noexcept;

 private:
  bool is_sweep_due(std::uint64_t now) noexcept;
  void sweep(std::uint64_t now) noexcept;

  const client_rows::terms terms_;  // in the table's units of time
  const client_key key_;
  client_rows rows_;  // their note: when the last sweep was, in full; 0: there was no datagram yet
};

}  // namespace udppump::detail
