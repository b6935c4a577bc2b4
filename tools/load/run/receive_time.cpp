#include "load/run/receive_time.hpp"

#include <time.h>

#include <cstring>

namespace udppump::load {

std::optional<nanoseconds> receive_time(msghdr& message) noexcept {
  for (cmsghdr* each = CMSG_FIRSTHDR(&message); each != nullptr; each = CMSG_NXTHDR(&message, each)) {
    if (each->cmsg_level != SOL_SOCKET || each->cmsg_type != SCM_TIMESTAMPNS) continue;
    timespec time{};
    std::memcpy(&time, CMSG_DATA(each), sizeof time);
    return std::chrono::seconds{time.tv_sec} + nanoseconds{time.tv_nsec};
  }
  return {};
}

}  // namespace udppump::load
