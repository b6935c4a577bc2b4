#pragma once

#include <string>

#include "udppump/address.hpp"

namespace udppump::detail {

struct address_owner {
  /// "NAME (pid N)", as far as /proc tells this user (proc(5)); else empty.
  std::string process;
  /// What its socket is bound to; none if no socket stands in the way.
  address bound_to;
};

/// Who has a UDP or Unix socket that stands in the way of binding `local`. It reads all of /proc: for errors only.
address_owner owner_of(const address& local);

}  // namespace udppump::detail
