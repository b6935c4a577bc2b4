#pragma once

// Terminals among the descriptors. As sys.hpp: each returns what the call returns, or -errno.

#include <fcntl.h>
#include <unistd.h>

#include "sys/sys.hpp"

namespace udppump::sys {

inline bool is_terminal(int fd) noexcept { return ::isatty(fd) == 1; }
/// O_RDONLY, O_WRONLY or O_RDWR.
inline int access_mode(int fd) noexcept {
  const int flags = once([&] { return ::fcntl(fd, F_GETFL); });
  return flags < 0 ? flags : flags & O_ACCMODE;
}
/// Of what open() was told not to wait for: from now on its calls wait.
inline int set_waiting(int fd) noexcept {
  return once([&] { return ::fcntl(fd, F_SETFL, 0); });
}

}  // namespace udppump::sys
