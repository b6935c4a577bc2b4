#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "udppump/worker_pool.hpp"

namespace udppump::detail {

/// When a worker that died is replaced, by the rules of restart_policy. One for each worker there should be. Reads no
/// clock and starts nothing.
class restart_plan {
 public:
  using clock = std::chrono::steady_clock;

  /// `policy` outlives it.
  explicit restart_plan(const restart_policy& policy) noexcept : policy_{&policy} {}

  struct life {
    clock::time_point started, ended;
    /// Datagrams it has finished.
    std::uint64_t served = 0;
    /// It came so far, whether or not a datagram came. Else it was not well, however long its start took.
    bool began_to_serve = true;
    /// Another try will not help.
    bool hopeless = false;
  };
  /// When to start another; nothing: none, as that was hopeless. If the worker cannot be kept, the pauses go on to be
  /// doubled beyond longest_delay, up to a minute.
  [[nodiscard]] std::optional<clock::time_point> after(const life& last) noexcept;
  /// Lives in a row, up to now, that ended before the worker was well and without a datagram.
  unsigned unserved_lives() const noexcept { return unserved_lives_; }
  /// Those have reached crash_limit.
  bool cannot_keep() const noexcept { return unserved_lives_ >= policy_->crash_limit; }

 private:
  const restart_policy* policy_;
  unsigned short_lives_ = 0, unserved_lives_ = 0;  // in a row
};

}  // namespace udppump::detail
