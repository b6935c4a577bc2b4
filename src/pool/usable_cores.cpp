#include <algorithm>
#include <cmath>
#include <fstream>
#include <sstream>
#include <string>

#include "sys/sys_process.hpp"
#include "udppump/worker_pool.hpp"

namespace udppump {

namespace {

/// What the control group grants, in cores: "QUOTA PERIOD" of cpu.max, "max" for no quota (cgroup-v2.rst). The groups
/// above it may grant less. 0: no limit known.
double granted_cores() {
  std::ifstream membership{"/proc/self/cgroup"};
  std::string line;
  std::string path;
  while (std::getline(membership, line)) {
    if (line.rfind("0::", 0) == 0) path = line.substr(3);  // of the unified hierarchy
  }
  double granted = 0;
  for (;;) {
    std::ifstream quota{"/sys/fs/cgroup" + path + "/cpu.max"};
    double runtime = 0;
    double period = 0;
    if (quota >> runtime >> period && runtime > 0 && period > 0) {
      granted = granted == 0 ? runtime / period : std::min(granted, runtime / period);
    }
    if (path.empty()) return granted;
    path.resize(path.find_last_of('/') == std::string::npos ? 0 : path.find_last_of('/'));
  }
}

std::size_t cores_in_mask() {
  // The kernel's mask may be larger than cpu_set_t's 1024 (sched_setaffinity(2)).
  for (int most = 1024; most <= 1 << 16; most *= 2) {
    cpu_set_t* const mask = CPU_ALLOC(static_cast<std::size_t>(most));
    if (mask == nullptr) break;
    const std::size_t size = CPU_ALLOC_SIZE(static_cast<std::size_t>(most));
    const bool told = sys::cores(size, *mask) >= 0;
    const int count = told ? CPU_COUNT_S(size, mask) : 0;
    CPU_FREE(mask);
    if (told) return static_cast<std::size_t>(std::max(count, 1));
  }
  return 1;
}

}  // namespace

std::size_t usable_cores() {
  const std::size_t cores = cores_in_mask();
  const double granted = granted_cores();
  if (granted <= 0) return cores;
  return std::clamp<std::size_t>(static_cast<std::size_t>(std::ceil(granted)), 1, cores);
}

}  // namespace udppump
