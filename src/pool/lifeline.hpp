#pragma once

#include <sys/types.h>

#include <vector>

#include "udppump/descriptor.hpp"

namespace udppump::detail {

/// A pipe into which nobody writes, and by which the kernel kills a worker and all of its process group when the
/// parent's end is closed, as it is when the parent ends. The worker, and what it starts, have the other end as well.
struct lifeline {
  descriptor workers_end = {};
  descriptor parents_end = {};

  void list(std::vector<int>& own) const;
};

/// The lifelines of workers that have ended, and left others in their groups: if the parent is killed, these are too.
class left_groups {
 public:
  left_groups() = default;
  /// Those that are left then go on.
  ~left_groups();
  left_groups(const left_groups&) = delete;
  left_groups& operator=(const left_groups&) = delete;

  /// The worker that led this group has ended. If many are kept, the oldest is let go.
  void add(pid_t group, lifeline line);
  /// Forgets those in which nobody is any more.
  void look() noexcept;
  /// What no worker should have.
  void list(std::vector<int>& own) const;

 private:
  struct left {
    pid_t group;
    lifeline line;
  };
  std::vector<left> all_;
};

}  // namespace udppump::detail
