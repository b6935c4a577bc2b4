#pragma once

#include <sys/types.h>

#include <cstddef>
#include <string>
#include <vector>

#include "udppump/descriptor.hpp"
#include "udppump/export.hpp"

namespace udppump::detail {

/// The open list of a thread's children, /proc/PID/task/TID/children (proc(5)), by the folder /proc/PID/task/TID. A
/// kernel without CONFIG_PROC_CHILDREN has none: not open then, or if it may not be read.
UDPPUMP_EXPORT descriptor open_children(const std::string& folder_of_task);
/// What stands in it now.
UDPPUMP_EXPORT void read_children(const descriptor& list, std::vector<pid_t>& all);
/// Those of all threads of a process, by its folder /proc/PID. False if the kernel does not tell.
UDPPUMP_EXPORT bool list_children(const std::string& folder, std::vector<pid_t>& all);

/// A process, then what it has started, what that has started, and so on: at most `most`. Whose parent has ended is
/// somebody else's child by now, and none of them.
UDPPUMP_EXPORT std::vector<pid_t> tree_of(pid_t process, std::size_t most);

}  // namespace udppump::detail
