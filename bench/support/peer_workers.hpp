#pragma once

#include <string>
#include <vector>

#include "support/worker_processes.hpp"
#include "udppump/address.hpp"
#include "udppump/datagram_socket.hpp"

namespace bench {

/// A way to serve, and the program that has it (peers/programs).
struct peer {
  /// Also what --as is given: "libuv-recvmmsg".
  std::string name;
  std::string program;
  /// Each worker has a socket of its own, in one SO_REUSEPORT group.
  bool sharded = false;
};

/// Every peer that this machine can have: udppump with each waiter that works here is among them.
std::vector<peer> all_peers();
/// Those of all_peers() that are named, in that order; a name that this machine has not is left out.
std::vector<peer> peers_named(const std::vector<std::string>& names);

struct peer_workers_options {
  std::size_t workers = 1;
  /// As --handler of the programs.
  std::string handler = "echo";
  /// Bytes, over all sockets.
  std::size_t receive_buffer = 4 << 20;
  /// Where the workers run; -1: anywhere.
  int processor = -1;
};

/// Processes of one peer's program that serve one port of 127.0.0.1.
class peer_workers {
 public:
  /// Returns when all wait for datagrams. Throws std::runtime_error if they do not come to that.
  peer_workers(const peer& which, const peer_workers_options& options);

  const udppump::address& server() const noexcept { return server_; }
  worker_processes& processes() noexcept { return processes_; }

 private:
  std::vector<udppump::datagram_socket> sockets_;
  udppump::address server_;
  worker_processes processes_;
};

}  // namespace bench
