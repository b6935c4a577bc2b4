#pragma once

#include <string>

#include "udppump/address.hpp"

namespace udppump::detail {

/// "NAME (pid N)" of a process that has a UDP socket on the address' port, as far as /proc tells this user (proc(5));
/// empty where it does not.
std::string owner_of_port(const address& local);

}  // namespace udppump::detail
