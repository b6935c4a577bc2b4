#pragma once

#include <sys/socket.h>
#include <time.h>

#include <cstddef>
#include <optional>

#include "load/plan/clock.hpp"

namespace udppump::load {

/// Room for the control data of a socket with SO_TIMESTAMPNS.
inline constexpr std::size_t receive_time_space = CMSG_SPACE(sizeof(timespec));

/// When the kernel received a message, by wall_now() (SO_TIMESTAMPNS, socket(7)); nothing where it does not say.
std::optional<nanoseconds> receive_time(msghdr& message) noexcept;

}  // namespace udppump::load
