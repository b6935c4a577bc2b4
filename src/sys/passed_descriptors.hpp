#pragma once

#include <sys/socket.h>

#include <cstddef>
#include <cstring>
#include <span>
#include <vector>

#include "udppump/descriptor.hpp"

namespace udppump::detail {

/// Has a message bring descriptors along (SCM_RIGHTS, unix(7)). `room`, aligned as a cmsghdr, has
/// CMSG_SPACE(sizeof(int) * descriptors.size()) bytes at least, and stays until the message is sent.
inline void pass_descriptors(msghdr& message, std::span<char> room, std::span<const int> descriptors) noexcept {
  const std::size_t size = descriptors.size_bytes();
  message.msg_control = room.data();
  message.msg_controllen = CMSG_SPACE(size);
  cmsghdr* const header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(size);
  std::memcpy(CMSG_DATA(header), descriptors.data(), size);
}

/// Those that came in this part of the control data are put into `to`; none if it is another part.
inline void take_descriptors(const cmsghdr& part, std::vector<descriptor>& to) {
  if (part.cmsg_level != SOL_SOCKET || part.cmsg_type != SCM_RIGHTS) return;
  for (std::size_t at = 0; at + sizeof(int) <= part.cmsg_len - CMSG_LEN(0); at += sizeof(int)) {
    int passed = -1;
    std::memcpy(&passed, CMSG_DATA(&part) + at, sizeof passed);
    to.emplace_back(passed);
  }
}

}  // namespace udppump::detail
