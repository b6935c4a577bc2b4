#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "udppump/pool_status.hpp"

namespace udppump::metrics {

/// Makes counters of what the kernel says of processes. Context switches are those of threads that live, and the time
/// of a program's session is that of the processes that are in it: both become smaller when a thread, or a process for
/// which nobody waited, ends. What is told instead grows by what has been added since the last look, and by nothing if
/// that is less than nothing; so it never goes back while the worker, or the parent, is the same.
class usage_history {
 public:
  using clock = std::chrono::steady_clock;

  /// Of all pools that are there at `now`, which is never before an earlier call's. No two have the same parent. Who is
  /// missing is forgotten 15 minutes after the last look: it may be that its pool did not answer. Of more than 10,000
  /// that are missing, those that have been so for the longest time are forgotten.
  void keep_from_going_back(std::vector<pool_status>& pools, clock::time_point now);

 private:
  struct counts {
    std::chrono::nanoseconds cpu{0};
    std::uint64_t voluntary = 0, involuntary = 0;
  };
  struct past {
    clock::time_point at;
    std::chrono::nanoseconds uptime;
    counts seen, told;

    bool is_of(std::chrono::nanoseconds uptime_now, clock::time_point now) const noexcept;
  };
  using key = std::pair<pid_t, pid_t>;  // parent, and worker; 0 is the parent itself

  void look_at(const key& whose, std::chrono::nanoseconds uptime, std::optional<process_usage>& usage,
               clock::time_point now);
  void forget_missing(clock::time_point now);

  std::map<key, past> known_;
};

}  // namespace udppump::metrics
