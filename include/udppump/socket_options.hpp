#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "udppump/address.hpp"
#include "udppump/export.hpp"

namespace udppump {

/// automatic: as each option says.
enum class setting : std::uint8_t { automatic, on, off };

/// IP_MTU_DISCOVER and IPV6_MTU_DISCOVER (ip(7), ipv6(7)): whether the kernel learns how large a packet may be on the
/// way to each peer (its path MTU), from ICMP messages that anybody may forge, and what it does with larger datagrams.
enum class path_mtu_discovery : std::uint8_t {
  /// As the system is set (net.ipv4.ip_no_pmtu_disc): usually `want`.
  kernel_default,
  /// As DNS servers do. IPv4: never ask for, nor believe in, a path MTU; larger datagrams leave in fragments, which
  /// routers may cut further, so that nothing is lost while a path MTU is learnt, and nobody can lie about it. IPv6,
  /// which routers do not cut and where no lie goes below 1280 bytes: as `want`, but what is larger than the
  /// interface's MTU leaves in packets of 1280 bytes, which every link carries (RFC 8200, 5).
  omit,
  /// Packets as large as the interface takes; larger datagrams are refused with EMSGSIZE, and never cut.
  interface,
  /// Larger datagrams leave in fragments, and routers may cut IPv4 packets further (no don't-fragment bit).
  dont,
  /// Packets say "don't fragment". The first datagram that is larger than the path MTU is lost, and makes it known;
  /// later ones leave in fragments that fit.
  want,
  /// Packets say "don't fragment", and datagrams larger than the known path MTU are refused with EMSGSIZE.
  always,
  /// As `always`, but the known path MTU is ignored: for programs that search it themselves (RFC 4821).
  probe,
};

struct multicast_membership {
  /// The group, IPv4 or IPv6; its port is ignored.
  address group;
  /// Name of the interface to join on, such as "eth0"; empty: the kernel's choice (ip(7), ipv6(7)).
  std::string interface = {};
};

/// Everything is set before bind, so that the first datagram already finds it in force.
struct socket_options {
  /// SO_RCVBUF in bytes of payload asked for; 0 keeps the kernel's default. See datagram_socket::receive_buffer().
  std::size_t receive_buffer = 0;
  /// SO_SNDBUF in the same way.
  std::size_t send_buffer = 0;
  /// SO_REUSEPORT: sockets of the same user share the port, and the kernel hashes each client onto one of them. Workers
  /// that share one socket do not need it.
  bool reuse_port = false;
  /// IPV6_V6ONLY. Automatic: off for the wildcard "[::]", which then takes IPv4 too; else the kernel's choice. On is
  /// refused for a socket of IPv4. A pool sets it on its sockets of IPv6, and must have one of these.
  setting v6only = setting::automatic;
  /// Learn which local address and interface each datagram came to (IP_PKTINFO, IPV6_RECVPKTINFO); a reply then leaves
  /// from there. Automatic: on if the socket is bound to a wildcard.
  setting local_address = setting::automatic;
  /// SO_TIMESTAMPNS: the kernel's receive time with each datagram (wall clock, socket(7)).
  bool receive_time = false;
  /// Learn the ECN codepoint of each datagram (IP_RECVTOS, IPV6_RECVTCLASS).
  bool receive_ecn = false;
  /// UDP_GRO: let the kernel join datagrams of one sender; the pump splits them again (udp(7), Linux 5.0). Up to 64 are
  /// then taken by one read and handed out without a look at budget or max_in_flight, which are checked between reads.
  bool receive_offload = false;
  /// IP_RECVERR, IPV6_RECVERR: learn of ICMP errors, with the peer each belongs to. Each is reported once: by the pump,
  /// or by receive(). The kernel keeps them in the receive buffer, and forgets those for which there is no room.
  bool icmp_errors = false;
  /// What happens to datagrams that are larger than a packet may be on their way: see docs/large-answers.md.
  path_mtu_discovery path_mtu = path_mtu_discovery::kernel_default;
  /// TOS and traffic class of what is sent, 0 to 255.
  std::optional<int> tos = {};
  /// SO_BROADCAST.
  bool broadcast = false;
  /// SO_BINDTODEVICE: only datagrams of this interface; empty: all. If the interface is deleted and made again, a pump
  /// binds the socket to the new one; see receive_error::kind::interface.
  std::string device = {};
  /// If an interface is deleted and made again, a pump joins again there.
  std::vector<multicast_membership> join = {};
};

/// What the kernel was asked for and what it gave, in bytes of payload (half of what getsockopt says: socket(7)).
struct UDPPUMP_EXPORT buffer_size {
  std::size_t asked = 0;
  std::size_t granted = 0;
  /// Empty if the wish was met, else cause and cure in one line.
  std::string shortfall() const;
  /// The option and the sysctl that limits it; for shortfall().
  const char* limit = "net.core.rmem_max";
};

}  // namespace udppump
