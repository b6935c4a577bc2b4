#pragma once

#include <cstdint>
#include <vector>

#include "udppump/export.hpp"

namespace udppump {

/// Senders whose datagrams a pump drops before its handler sees them. A datagram's source address can be forged, and so
/// two servers can be made to answer each other for ever (CVE-2024-2169). So a server that answers must not answer
/// other servers.
struct UDPPUMP_EXPORT source_filter {
  /// Source ports, of IPv4 and IPv6.
  std::vector<std::uint16_t> ports = {};
  /// The socket's own port: a server of the same kind, or the socket itself. Not for services whose clients send from
  /// the service's port, as those of NTP do.
  bool own_port = false;
  /// The socket itself: the address and port that the datagram came to, or that the socket is bound to. If it is bound
  /// to a wildcard, this works only if it learns the address (socket_options::local_address). Other addresses of this
  /// machine are not dropped.
  bool own_address = false;

  /// For a server that answers everybody: own_port, own_address, and the ports of services that answer whatever they
  /// get: 7 echo, 11 active users, 13 daytime, 17 quote of the day, 19 chargen, 37 time (RFC 862 to 868), and 0, which
  /// cannot be answered. Add 53, 69, 123 and those of other servers of yours if none of your clients sends from them.
  static source_filter against_loops();

  /// Whether nothing is dropped.
  bool empty() const noexcept { return ports.empty() && !own_port && !own_address; }
};

}  // namespace udppump
