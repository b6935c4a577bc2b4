#pragma once

#include <chrono>
#include <vector>

#include "pool/pool_log.hpp"

namespace udppump::detail {

/// The resource limits of the parent, which any process of its user may lower (prlimit(2)), a worker included. Without
/// descriptors or processes a parent cannot do its work, and new workers inherit what it has.
class own_limits {
 public:
  using clock = std::chrono::steady_clock;

  /// As they are now is how they are to be. `log` outlives it.
  explicit own_limits(const pool_log& log);

  /// Raises again what was lowered, as far as the hard limit lets, and tells.
  void look(clock::time_point now);
  /// poll(2) has failed, which a limit is mostly the reason for.
  void note_failed_wait(int error, clock::time_point now);
  clock::time_point next() const noexcept { return next_; }

 private:
  struct limit {
    int resource;
    unsigned long long wanted;  // the soft limit
  };
  void look_at(limit& one) const;

  const pool_log& log_;
  std::vector<limit> all_;
  clock::time_point next_;
};

}  // namespace udppump::detail
