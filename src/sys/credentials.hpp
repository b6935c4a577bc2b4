#pragma once

#include <sys/socket.h>

#include <cstring>
#include <optional>

namespace udppump::detail {

/// Who sent a message, as the kernel tells it in this part of the control data (SCM_CREDENTIALS, unix(7)); nothing if
/// it is another part.
inline std::optional<ucred> credentials_in(const cmsghdr& part) noexcept {
  if (part.cmsg_level != SOL_SOCKET || part.cmsg_type != SCM_CREDENTIALS || part.cmsg_len < CMSG_LEN(sizeof(ucred))) {
    return {};
  }
  ucred who{};
  std::memcpy(&who, CMSG_DATA(&part), sizeof who);
  return who;
}

}  // namespace udppump::detail
