#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "udppump/pool_status.hpp"

namespace udppump::tools {

/// A pool in lines of 80 columns at most, but for names that are longer: what it is, its sockets, what was served, its
/// workers. What is not known is "-".
std::string text_of(const pool_status& pool);

/// The same for programs, with all numbers: times in seconds, sizes in bytes. What is not known is null.
nlohmann::ordered_json json_of(const pool_status& pool);

/// "dns (pid 4711)".
std::string title_of(const pool_status& pool);
/// The part of a socket's room that is taken; nothing if either is not known.
std::optional<double> fill_of(const socket_status& socket);

}  // namespace udppump::tools
