#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "udppump/worker_pool.hpp"

/// Values as people write them on a command line. Each throws std::invalid_argument that quotes the text and says what
/// it should look like.
namespace udppump::tools {

/// "4096", "256K", "4M", "1G": bytes, in powers of 1024.
std::uint64_t parse_size(const std::string& text);

/// "10", "0.5", "250ms", "10s", "2min", "1h"; without a unit it is `unit`. At most a week; what is shorter than a
/// millisecond, and not 0, is one.
std::chrono::milliseconds parse_time(const std::string& text, std::chrono::milliseconds unit);

/// "NAME=SOFT[:HARD]" with the names and units of prlimit(1); one number sets both, "unlimited" is a number.
resource_limit parse_limit(const std::string& text);

}  // namespace udppump::tools
