#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "support/queue_filler.hpp"
#include "udppump/datagram_socket.hpp"

namespace bench {

/// A peer that drains a filled queue.
struct drainer {
  std::string name;
  /// Fills the queue of sockets.front() with at most `count` datagrams and drains it; CPU time of the whole process for
  /// each, in ns. The queue is empty before and after.
  std::function<double(std::span<udppump::datagram_socket> sockets, queue_filler& filler, std::size_t count)> drain;
};

/// One socket on loopback with as large a receive buffer as the kernel gives.
std::vector<udppump::datagram_socket> socket_to_fill();

/// Every peer, and udppump in every way that this machine has.
std::vector<drainer> all_drainers();

}  // namespace bench
