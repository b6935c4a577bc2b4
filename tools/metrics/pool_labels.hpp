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
/// anew under the same name. No two pools have the same one.
class pool_labels {
 public:
  /// Of each, in their order. No two have the same parent.
  std::vector<std::string> of(std::span<const pool_status> pools);

 private:
  struct known_pool {
    std::string label;
    std::string base;  // without its number
    std::chrono::nanoseconds uptime;
    uid_t user;
    std::vector<ino_t> sockets;
  };

  void forget_ended(std::span<const pool_status> pools);
  bool has_taken_over(const known_pool& later, const known_pool& ended) const;
  std::string free_label(const std::string& base) const;

  std::map<pid_t, known_pool> known_;  // by parent
};

}  // namespace udppump::metrics
