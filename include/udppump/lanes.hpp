#pragma once

#include <chrono>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "udppump/datagram_socket.hpp"
#include "udppump/export.hpp"
#include "udppump/payload_match.hpp"

namespace udppump {

/// For lane::reserve.
constexpr std::size_t automatic_reserve = static_cast<std::size_t>(-1);

/// One of several queues behind one port. The kernel puts each datagram into the first lane that takes it, and a worker
/// that is idle takes from the first lane that has something. So a short request does not wait behind long ones in the
/// queue; for it not to wait in vain while all workers are busy with long ones, let some workers have no pump on the
/// lanes of these.
struct lane {
  /// How messages call it: letters, digits, '-' and '_'.
  std::string name;
  /// Which datagrams it takes of those that no lane before it took. The last lane takes all that are left.
  payload_match match = {};
  /// socket_options::receive_buffer of this lane. 0: as the others have it.
  std::size_t receive_buffer = 0;

  // The rest is for worker_pool; with sockets from bind_lanes() the program does as it likes.

  /// So many workers are kept free of all lanes after this one: they serve this lane and those before it alone.
  /// automatic_reserve: at least one, and as many as the time that handlers take asks for; changes are logged as
  /// "lane-reserve". Not for programs that a pool runs.
  std::size_t reserve = 0;
  /// So many workers serve this lane alone, and no others serve it. For programs that receive from one descriptor. Not
  /// with reserve. 0: whoever is not kept for others serves it.
  std::size_t workers = 0;
  /// pool_options::max_age of this lane. 0: as the others have it.
  std::chrono::nanoseconds max_age{0};
};

/// Lanes that one port can have.
constexpr std::size_t most_lanes = 16;

/// One socket for each lane, in their order, all bound to `local`; with port 0, to one free port. They are a
/// SO_REUSEPORT group, and datagram_socket::lane() says which each is. Put their pumps into one pump_group for each
/// worker: it serves a lane only while the lanes before it have nothing, and looks at these again after each datagram.
///
/// Keep all of them open, in every process that has them: if the last copy of one is closed, the kernel renumbers the
/// rest, and what comes is put into wrong lanes. Whoever has one of them can give the group another program, and one
/// connect() ends the sorting for good: pass them on only to whom you trust. Every process of the user who bound them
/// can join the group, and give it another program: bind as a user that runs nothing else, or as root. What comes while
/// they are being bound may be in a wrong lane.
///
/// worker_pool makes and serves lanes by itself (pool_options::lanes).
///
/// socket_options::reuse_port means nothing here: only the lanes share the port.
///
/// Throws std::invalid_argument for lanes that make no sense, and for what cannot be sorted: an address that is not of
/// UDP, a multicast group and `join` (the kernel gives those to every socket of a group), receive_offload (the kernel
/// joins datagrams before it sorts them). Throws std::system_error as datagram_socket::bind().
UDPPUMP_EXPORT std::vector<datagram_socket> bind_lanes(const address& local, std::span<const lane> lanes,
                                                       const socket_options& options = {});

}  // namespace udppump
