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
  /// Of all pools that are there now; those that are not among them are forgotten. No two have the same parent.
  void keep_from_going_back(std::vector<pool_status>& pools);

 private:
  struct counts {
    std::chrono::nanoseconds cpu{0};
    std::uint64_t voluntary = 0, involuntary = 0;
  };
  struct past {
    std::chrono::nanoseconds uptime;
    counts seen, told;
  };
  using key = std::pair<pid_t, pid_t>;  // parent, and worker; 0 is the parent itself

  void look_at(const key& whose, std::chrono::nanoseconds uptime, std::optional<process_usage>& usage,
               std::map<key, past>& now) const;

  std::map<key, past> known_;
};

}  // namespace udppump::metrics
