#pragma once

#include <string>

#include "pool/listening.hpp"

namespace udppump::detail {

/// Why a socket that a pool before this one hands on is not served, with the cure; empty if it is as it should be. Any
/// process that has the socket, such as a worker, may have made it so; and a socket that the pool had from a service
/// manager is of a kind that one opens. Its options are looked at later (socket_state).
std::string fault_of(const passed_socket& passed);

}  // namespace udppump::detail
