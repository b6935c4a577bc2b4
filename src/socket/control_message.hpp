#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "udppump/address.hpp"
#include "udppump/datagram_socket.hpp"

namespace udppump::detail {

/// Room for all that a socket can be asked to send along: IPv6 class, packet info, segment size and time need 120 bytes
/// together, an error report with its address 80 more.
constexpr std::size_t control_capacity = 256;

/// What the kernel told about a datagram besides its payload.
struct received_control {
  /// The address that was asked, port 0; none where not told. IPv4 on an IPv6 socket comes as plain IPv4.
  address to;
  /// Where an answer should leave from: `to` where that is an address of this host; for multicast and broadcast the
  /// interface's own (IPv4) or the kernel's choice (IPv6).
  send_source source;
  unsigned interface_index = 0;
  std::optional<std::chrono::sys_time<std::chrono::nanoseconds>> time;
  ecn codepoint = ecn::not_ect;
  /// Bytes of each datagram that UDP_GRO joined; 0 where nothing was.
  std::size_t segment_size = 0;
};

/// Reads the control data of a received message; unknown and malformed parts are passed over. Descriptors that a Unix
/// peer sent along (SCM_RIGHTS) are closed: they are in this process by now, and nobody asked for them.
received_control parse_control(const msghdr& message) noexcept;
/// The same for a message that another process received, whose descriptors mean nothing here.
received_control parse_control_of_another(const msghdr& message) noexcept;

/// An entry of the error queue (IP_RECVERR): what the kernel says went wrong with an earlier send. 0 where there is
/// none.
int parse_queued_error(const msghdr& message) noexcept;

/// Builds the control data of a message to send.
class control_builder {
 public:
  /// `socket_family` decides which kind of packet info the kernel takes.
  void add_source(const send_source& source, int socket_family) noexcept;
  /// TOS (IPv4) or traffic class, both halves of it: what goes along replaces what the socket has.
  void add_traffic_class(int value, int destination_family) noexcept;
  void add_segment_size(std::uint16_t size) noexcept;
  /// Points the message at what was built. This object must outlive it.
  void attach(msghdr& message) noexcept;

 private:
  template <class Value>
  void add(int level, int type, const Value& value) noexcept;

  alignas(cmsghdr) std::byte bytes_[control_capacity];
  std::size_t size_ = 0;
};

}  // namespace udppump::detail
