#pragma once

#include <string>

#include "udppump/address.hpp"

namespace udppump::detail {

struct port_owner {
  /// "NAME (pid N)", as far as /proc tells this user (proc(5)); else empty.
  std::string process;
  /// What its socket is bound to; none if no socket has the port.
  address bound_to;
};

/// Who has a UDP socket that stands in the way of binding `local`.
port_owner owner_of_port(const address& local);

}  // namespace udppump::detail
