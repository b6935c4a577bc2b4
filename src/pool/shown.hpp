#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "pool/board.hpp"
#include "pool/pool_sockets.hpp"
#include "udppump/pool_options.hpp"

namespace udppump::detail {

/// Writes to the board what the pool is, for pool_status. `own_path` is the program's file. Before any worker starts.
void show_pool(board& shared, const pool_options& options, const std::string& own_path) noexcept;
/// The same of the sockets; again when one of them is another.
void show_sockets(board& shared, const pool_sockets& sockets);

/// A time that is above 0 is 1 at least.
std::uint32_t shown_milliseconds(std::chrono::nanoseconds time) noexcept;

}  // namespace udppump::detail
