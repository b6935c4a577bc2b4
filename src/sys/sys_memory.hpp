#pragma once

// What is asked of the kernel about memory. As sys.hpp: each returns what the call returns, or -errno.

#include <sys/mman.h>

#include <cstddef>

#include "sys/sys.hpp"

namespace udppump::sys {

/// Pages that are never swapped out; RLIMIT_MEMLOCK may be small.
inline int lock_memory(const void* memory, std::size_t size) noexcept {
  return once([&] { return ::mlock(memory, size); });
}

/// A child of a fork finds zeros there (MADV_WIPEONFORK, Linux 4.14).
inline int wipe_on_fork(void* memory, std::size_t size) noexcept {
  return once([&] { return ::madvise(memory, size, MADV_WIPEONFORK); });
}

}  // namespace udppump::sys
