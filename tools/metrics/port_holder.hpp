#pragma once

#include <string>

#include "udppump/address.hpp"

namespace udppump::metrics {

/// Who listens by TCP where it stands in the way of `where`: `"NAME (pid N)" of user U (inode I)`, or "a process of
/// user U (inode I)", as far as /proc tells this user; empty if nobody is seen. Reads all of /proc: for errors only.
std::string port_holder(const address& where);

}  // namespace udppump::metrics
