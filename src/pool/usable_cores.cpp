#include <algorithm>
#include <cmath>

#include "pool/granted_cores.hpp"
#include "sys/sys_process.hpp"
#include "udppump/worker_pool.hpp"

namespace udppump {

namespace {

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
  const double granted = detail::granted_cores();
  if (granted <= 0) return cores;
  return std::clamp<std::size_t>(static_cast<std::size_t>(std::ceil(granted)), 1, cores);
}

}  // namespace udppump
