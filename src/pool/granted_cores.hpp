#pragma once

#include <string>

#include "udppump/export.hpp"

namespace udppump::detail {

/// What the control groups of a process, this one unless said otherwise, grant, in cores: of its own group and of all
/// above it, as far as they can be seen, the smallest; of version 2 (cpu.max, Documentation/admin-guide/cgroup-v2.rst)
/// as well as of version 1 (cpu.cfs_quota_us and cpu.cfs_period_us, Documentation/scheduler/sched-bwc.rst). 0: no limit
/// is known.
///
/// `root` is put before all paths; only tests have one.
UDPPUMP_EXPORT double granted_cores(const std::string& root = {}, const std::string& process = "self");

}  // namespace udppump::detail
