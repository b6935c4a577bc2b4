#pragma once

#include <sys/types.h>

namespace udppump::detail {

/// Which process has an open file locked by another descriptor than this one: 0 if the kernel does not show it to this
/// user, as of other users' processes and of those that changed their own. `perhaps` is looked at first, if it is a
/// process; else all of /proc is read: for errors only.
pid_t holder_of_lock(int fd, pid_t perhaps);

}  // namespace udppump::detail
