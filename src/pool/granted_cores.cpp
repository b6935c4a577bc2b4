#include "pool/granted_cores.hpp"

#include <algorithm>
#include <fstream>

#include "pool/control_group.hpp"

namespace udppump::detail {

namespace {

/// 0: no quota.
double quota_of(const control_group& group) {
  double runtime = 0;
  double period = 0;
  if (group.is_unified) {
    std::ifstream both{group.folder + "/cpu.max"};  // "QUOTA PERIOD", or "max" for no quota
    both >> runtime >> period;
  } else {
    std::ifstream{group.folder + "/cpu.cfs_quota_us"} >> runtime;  // -1 for no quota
    std::ifstream{group.folder + "/cpu.cfs_period_us"} >> period;
  }
  return runtime > 0 && period > 0 ? runtime / period : 0;
}

}  // namespace

double granted_cores(const std::string& root, const std::string& process) {
  double granted = 0;
  for (const control_group& one : control_groups_of(process, "cpu", root)) {
    const double quota = quota_of(one);
    if (quota > 0) granted = granted > 0 ? std::min(granted, quota) : quota;
  }
  return granted;
}

}  // namespace udppump::detail
