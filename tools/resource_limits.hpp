#pragma once

#include <string>

#include "udppump/worker_pool.hpp"

namespace udppump::tools {

/// "NAME=SOFT[:HARD]" with the names and units of prlimit(1); one number sets both, "unlimited" is a number. Throws
/// std::invalid_argument, which quotes the text and says what was expected.
resource_limit parse_limit(const std::string& text);

}  // namespace udppump::tools
