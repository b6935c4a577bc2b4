#pragma once

#include <chrono>

#include "udppump/worker_pool.hpp"

namespace udppump::detail {

/// The options with what stands for a default filled in, and no time so long that it overflows the clock. Throws
/// std::invalid_argument for one out of range.
pool_options checked(pool_options options);
/// The same.
program_options checked(program_options options);

}  // namespace udppump::detail
