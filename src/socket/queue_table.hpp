#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "udppump/export.hpp"

namespace udppump::detail {

/// What waits in a UDP socket, as the kernel counts memory (sock_diag(7)), and how many datagrams it has dropped there
/// since the socket was made, modulo 2^32. Half of the limit is the receive buffer as socket(7) has it.
struct listed_queue {
  std::size_t fill = 0;
  std::optional<std::size_t> limit = {};  // nothing if the list does not tell
  std::uint32_t drops = 0;
};

/// Of these sockets, by inode, whoever has them: as sock_diag(7) tells for this network namespace; of those that are
/// not in it, or if that is refused, as /proc/PID/net has it for the namespace of `process`. None of those that neither
/// lists, such as Unix sockets.
UDPPUMP_EXPORT std::map<std::uint64_t, listed_queue> udp_queues(std::vector<std::uint64_t> inodes, pid_t process);

}  // namespace udppump::detail
