#pragma once

#include <string>

#include "pool/listening.hpp"
#include "udppump/socket_options.hpp"

namespace udppump::detail {

/// Why a socket that a pool before this one hands on is not served, with the cure; empty if it is as it should be. Any
/// process that has the socket, such as a worker, may have made it so; and a socket that the pool had from a service
/// manager is of a kind that one opens. `wanted` is what this pool asks of its sockets.
std::string fault_of(const passed_socket& passed, const socket_options& wanted);

}  // namespace udppump::detail
