#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "udppump/pool_status.hpp"

namespace udppump::metrics {

/// What each pool is called in its series: by its name ("unnamed" if it has none), and if others have the same one, the
/// first that is free of NAME, NAME#2, NAME#3 and so on; of those seen for the first time, the one that has run longest
/// comes first.
///
/// A pool keeps its label as long as it is seen. When it is seen no more, the label is that of the pool that took its
/// sockets over, if such a one has been seen beside it; else it is free, and so it is that of the pool that is started
/// anew under the same name. For an hour only a pool of the same user may have it: who else takes the name meanwhile
/// would go on with the series of another's service. A pool that was not seen for a while, as it did not answer, has
/// its label again if nobody has it. No two pools have the same one.
class pool_labels {
 public:
  using clock = std::chrono::steady_clock;

  /// Of each, in their order; `now` is never before an earlier call's. No two have the same parent.
  std::vector<std::string> of(std::span<const pool_status> pools, clock::time_point now);

 private:
  struct known_pool {
    std::string label;
    std::string base;  // without its number
    std::chrono::nanoseconds uptime;
    uid_t user;
    std::vector<ino_t> sockets;
  };

  /// Who had a label that is free, and since when it is.
  struct former_pool {
    clock::time_point since;
    pid_t parent;  // 0 if it runs on under another label
    std::chrono::nanoseconds uptime;
    uid_t user;
    std::string base;
  };

  void forget_ended(std::span<const pool_status> pools, clock::time_point now);
  bool has_taken_over(const known_pool& later, const known_pool& ended) const;
  void remember(const known_pool& gone, pid_t parent, clock::time_point now);
  void forget_former(clock::time_point now);
  bool is_free(const std::string& label, uid_t user) const;
  std::string free_label(const pool_status& pool) const;

  std::map<pid_t, known_pool> known_;          // by parent
  std::map<std::string, former_pool> former_;  // by label; none of known_'s
};

}  // namespace udppump::metrics
