#pragma once

#include <memory>

#include "udppump/export.hpp"

namespace udppump {

namespace detail {
class queue_share;
class share_table;
}  // namespace detail

/// Bits of an address that tell clients apart, 1 to 32 and 1 to 128, as in client_rate.
struct client_prefixes {
  unsigned ipv4 = 32, ipv6 = 56;
};

/// Shares what can be served between the clients when more comes than that, without a number to set: for
/// pump_options::client_share and pool_options::client_share. A client is what it is for client_limit.
///
/// While workers find the socket's queue empty now and then, nothing is dropped, and nobody is counted. If none has
/// for 5 to 10 ms, the queue is behind. Then all workers of the socket hold each client to one rate, which is lowered
/// until the queue shrinks, and raised while it is found empty, a thousand times a second at most: so it comes to the
/// rate at which the workers are just busy. Who sends less loses nothing, whoever sends more is served so much
/// (max-min fairness), and may be ahead of it by 16 datagrams. When nobody sends more any longer, the rate rises out
/// of sight within some tenths of a second.
///
/// Approximate: the rate is never still, so a fifth of what could be served, or more if only one worker serves, may be
/// dropped of those who send too much. In the first tenth of a second, while the rate is searched for, others may lose
/// some as well. What a datagram costs to serve does not count, only how many there are. And the kernel drops from
/// everybody what does not fit into the receive buffer: let it hold what comes while all workers are in their handlers,
/// and know that there is no help against more than the workers can receive and drop.
///
/// Copies share what they know, and so do processes that are forked after it was made. It takes 260 KiB, however many
/// clients there are, and no lock. It is exact for 32,768 clients; of more, those that have had least are forgotten
/// first. A flood from forged sources that hardly ever repeat looks like very many clients, which no rate can hold
/// back: if the queue stays behind even at one datagram a minute for each client, all are served in order for the next
/// five seconds, and then it is tried again for about a tenth of a second.
class UDPPUMP_EXPORT client_share {
 public:
  /// Everything is served in order.
  client_share() noexcept = default;
  /// Equal shares. Throws std::invalid_argument if a prefix is out of its range, std::system_error if there is no
  /// memory.
  static client_share equal(const client_prefixes& clients = {});

  /// Whether there are shares.
  explicit operator bool() const noexcept { return table_ != nullptr; }

 private:
  friend detail::queue_share;

  std::shared_ptr<detail::share_table> table_;
};

}  // namespace udppump
