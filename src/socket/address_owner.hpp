#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "udppump/address.hpp"
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

struct port_sharer {
  ino_t inode;  // of the socket
  /// "NAME (pid N) of user U", or "a process of user U", as far as /proc tells this user.
  std::string process;
};

/// Whose UDP sockets take part of what arrives at `local`, where a socket is bound: all of its family that are bound
/// there too, but those with an inode among `known`.
UDPPUMP_EXPORT std::vector<port_sharer> sharers_of_port(const address& local, bool takes_ipv4,
                                                        const std::vector<ino_t>& known);

}  // namespace udppump::detail
