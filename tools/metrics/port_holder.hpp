#pragma once

#include <string>

#include "udppump/address.hpp"

namespace udppump::metrics {

/// Who listens by TCP where it stands in the way of `where`: `"NAME (pid N)" of user U (inode I)`, or "a process of
/// user U (inode I)", as far as /proc tells this user; "A or B" if it may be either, of more than three "A or B or C or
/// N more"; empty if nobody is seen. Reads all of /proc: for errors only.
std::string port_holder(const address& where);

}  // namespace udppump::metrics
