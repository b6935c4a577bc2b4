#pragma once

#include <string>

#include "udppump/descriptor.hpp"

namespace udppump::detail {

/// What one of a pool's sockets is called, and who opened it.
struct listening {
  /// As LISTEN_FDNAMES has it: no white space, no colon.
  std::string name;
  /// No address of pool_options::bind asked for it, so it is kept whichever are asked for.
  bool from_service_manager = false;

  bool operator==(const listening&) const = default;
};

/// A socket that was passed to this process.
struct passed_socket {
  descriptor socket;
  listening as;
};

}  // namespace udppump::detail
