#pragma once

#include <cstddef>
#include <vector>

#include "pool/pool_log.hpp"
#include "pool/pool_sockets.hpp"
#include "udppump/datagram_socket.hpp"

namespace udppump::detail {

/// Whether a datagram waits in the queue of any of them.
bool anything_waits(const std::vector<datagram_socket>& sockets);

/// Logs what is left in the queues, as nobody of this pool takes it any more. Sockets that end with this process are
/// emptied for that. Those of a service manager, and if `are_kept` all, are others' as well, and only looked at.
void log_leftovers(const pool_sockets& sockets, bool are_kept, const pool_log& log);

}  // namespace udppump::detail
