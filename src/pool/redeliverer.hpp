#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "pool/board.hpp"
#include "pool/pool_log.hpp"
#include "udppump/datagram_socket.hpp"
#include "udppump/descriptor.hpp"
#include "udppump/worker_pool.hpp"

namespace udppump::detail {

/// Gives the datagrams of workers that died to others, by redelivery's rules. In the parent.
class redeliverer {
 public:
  /// Opens the poison file; throws std::system_error. All arguments outlive this object.
  redeliverer(const redelivery& rules, board& shared, const std::vector<datagram_socket>& sockets, const pool_log& log);

  /// Whom the poison file is to belong to, so that a pool that takes over as that user can open it; -1: as it is.
  void give_file_to(uid_t user, gid_t group) const;
  /// The worker of `page` has died. True if a datagram now waits for another worker.
  bool rescue(std::size_t page);
  /// No worker is left: what still waits is given up.
  void give_up();

 private:
  bool offer_again(kept_datagram& kept);
  void poison(const kept_datagram& kept);
  kept_datagram* free_one() noexcept;
  std::string describe(const kept_datagram& kept) const;

  const redelivery& rules_;
  board& shared_;
  const std::vector<datagram_socket>& sockets_;
  const pool_log& log_;
  descriptor file_;
};

}  // namespace udppump::detail
