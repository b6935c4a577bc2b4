#pragma once

#include "address/raw_address.hpp"
#include "sys/sys.hpp"
#include "udppump/address.hpp"

namespace udppump::detail {

/// The address that a socket is bound to; 0, or -errno, and `name` then stays as it is.
inline int local_name(int fd, address& name) noexcept {
  socklen_t size = address::capacity;
  const int done = sys::getsockname(fd, raw_address::buffer(name), &size);
  if (done >= 0) raw_address::resize(name, size);
  return done;
}
/// The same of the address that it is connected to.
inline int peer_name(int fd, address& name) noexcept {
  socklen_t size = address::capacity;
  const int done = sys::getpeername(fd, raw_address::buffer(name), &size);
  if (done >= 0) raw_address::resize(name, size);
  return done;
}

}  // namespace udppump::detail
