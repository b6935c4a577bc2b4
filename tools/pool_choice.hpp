#pragma once

#include <string>
#include <vector>

#include "udppump/pool_status.hpp"

namespace udppump::tools {

/// The running pool that a command is for: by its parent's process id, by its name (pool_options::name), or, if
/// `wanted` is empty, the only one that this process may look at. Throws std::invalid_argument if no pool, or
/// several, are called so, and says which there are; std::system_error if there is none, or it may not be looked at.
pool_reader choose_pool(const std::string& wanted);

/// Without `wanted` all of them, in the order of their ids; throws if there is none.
std::vector<pool_reader> choose_pools(const std::string& wanted);

/// All pools that are named, each once, in the order of their ids: by its parent's process id, or by its name, which
/// several may have. Those that do not run now, or may not be looked at, are left out.
std::vector<pool_status> pools_called(const std::vector<std::string>& wanted);

/// What --help says of the argument.
inline constexpr char pool_argument[] =
    "which pool: the process id of its parent, or its name; needless if there is only one";

}  // namespace udppump::tools
