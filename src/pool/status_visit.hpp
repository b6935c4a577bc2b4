#pragma once

#include <sys/types.h>

#include <cstddef>
#include <vector>

#include "udppump/descriptor.hpp"

namespace udppump::detail {

/// A pool that lets this process look (status_door), by the process that listens there, as the kernel says.
struct visited_pool {
  pid_t parent;
  descriptor memory;
};

struct visited_pools {
  std::vector<visited_pool> let_in;
  /// Status sockets that could not be asked, as too many waited there or there are too many: each may have been a
  /// pool's.
  std::size_t unheard = 0;
};

/// All pools of this network namespace that let this process look, but those of the processes in `known`; with `only`,
/// not 0, that one alone. Takes three seconds at most, however many answer nothing.
visited_pools visit_pools(const std::vector<pid_t>& known, pid_t only = 0);

}  // namespace udppump::detail
