#pragma once

#include <sys/types.h>

#include <span>
#include <string>
#include <vector>

#include "socket/port_table.hpp"
#include "udppump/address.hpp"
#include "udppump/datagram_socket.hpp"
#include "udppump/export.hpp"

namespace udppump::detail {

struct address_owner {
  /// "NAME (pid N)", as far as /proc tells this user (proc(5)); else empty.
  std::string process;
  /// What its socket is bound to; none if no socket stands in the way.
  address bound_to;
};

/// Who has a UDP or Unix socket that stands in the way of binding `local`. It reads all of /proc: for errors only.
address_owner owner_of(const address& local);

/// Which of the sockets that are listed are in the way of binding `where`, those at the same address before all others.
/// Of UDP or TCP. Those of which it is not known, as they or `where` may be for IPv6 only, are told if there are none
/// that are in the way for certain.
UDPPUMP_EXPORT std::vector<listed_socket> in_the_way(const address& where, std::span<const listed_socket> listed);

/// Where a UDP socket is bound.
struct bound_place {
  address local;
  unsigned device = 0;      // the index of the interface that it is bound to, 0 for none
  bool takes_ipv4 = false;  // of one that is bound to all of IPv6
};
UDPPUMP_EXPORT bound_place place_of(const datagram_socket& socket);

/// Which of the sockets that are listed take part of what arrives at `here`, or may do so; those with an inode among
/// `known` are left out.
UDPPUMP_EXPORT std::vector<listed_socket> sharers_of(const bound_place& here, std::span<const listed_socket> listed,
                                                     std::span<const ino_t> known);
/// Of each: `"NAME (pid N)" of user U (inode I)`, or "a process of user U (inode I)", as far as /proc tells this user.
/// Reads all of /proc once.
UDPPUMP_EXPORT std::vector<std::string> names_of(std::span<const listed_socket> sockets);

}  // namespace udppump::detail
