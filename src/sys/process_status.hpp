#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "udppump/export.hpp"

namespace udppump::detail {

/// Where the kernel tells of a process: /proc/PID.
inline std::string folder_of_process(pid_t pid) { return "/proc/" + std::to_string(pid); }

/// What /proc/PID/status says of a field, such as "State" (proc(5)); empty if there is no such process or field, or if
/// it may not be read.
UDPPUMP_EXPORT std::string status_of_process(pid_t pid, std::string_view field);

}  // namespace udppump::detail
