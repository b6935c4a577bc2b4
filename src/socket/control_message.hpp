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
  /// The address that was asked, port 0; none if not told. IPv4 on an IPv6 socket comes as plain IPv4.
  address to;
  /// Where an answer should leave from: `to` if that is an address of this host; for multicast and broadcast the
  /// interface's own (IPv4) or the kernel's choice (IPv6).
  send_source source;
  unsigned interface_index = 0;
  std::optional<std::chrono::sys_time<std::chrono::nanoseconds>> time;
  udppump::ecn ecn = udppump::ecn::not_ect;
  /// Bytes of each datagram that UDP_GRO joined; 0 if it joined none.
  std::size_t segment_size = 0;
};

enum class received_by { this_process, another_process };

/// Reads the control data of a received message; unknown and malformed parts are passed over. Replaces all that `told`
/// held. Descriptors that a Unix peer sent along (SCM_RIGHTS) to this process are closed: they are installed here by
/// now, and nobody asked for them.
void parse_control(const msghdr& message, received_by whom, received_control& told) noexcept;

/// An entry of the error queue (IP_RECVERR): the errno that an ICMP message gave to an earlier send. 0 if there is
/// none, and for what the call that sent was told itself (SO_EE_ORIGIN_LOCAL, such as EMSGSIZE).
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
