#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "udppump/address.hpp"
#include "udppump/export.hpp"

namespace udppump::detail {

/// A UDP socket of this network namespace, whoever has it, as the kernel lists it.
struct listed_socket {
  /// Without a scope; one of IPv4 that is mapped into IPv6 is of IPv4.
  address local;
  ino_t inode = 0;
  uid_t user = 0;
  /// The index of the interface that it is bound to, 0 for none; nothing if the list does not tell.
  std::optional<unsigned> device = {};
  /// Of one that is bound to all of IPv6: whether it takes what comes over IPv4; nothing if the list does not tell.
  std::optional<bool> takes_ipv4 = {};
};

/// Those on any of these ports: as sock_diag(7) lists them, or where that is refused, /proc/net/udp and /proc/net/udp6;
/// none if neither may be read.
UDPPUMP_EXPORT std::vector<listed_socket> udp_sockets_on(std::span<const std::uint16_t> ports);

/// "HEX:PORT", as /proc/net has it of UDP and TCP, without a scope, and of IPv4 if it is mapped into IPv6; none if it
/// is no such text.
UDPPUMP_EXPORT address address_in_table(std::string_view text) noexcept;

/// A line of /proc/net/udp or udp6.
struct table_line {
  listed_socket socket;
  /// Bytes that wait to be received, as the kernel counts them, and datagrams that it dropped at this socket.
  std::uint64_t queued = 0, drops = 0;
};
/// Such a table, of whichever network namespace it is (/proc/PID/net/udp); nothing if it may not be read.
UDPPUMP_EXPORT std::optional<std::vector<table_line>> read_udp_table(const std::string& path);

}  // namespace udppump::detail
