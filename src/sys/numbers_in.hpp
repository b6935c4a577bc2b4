#pragma once

#include <string>
#include <vector>

#include "udppump/export.hpp"

namespace udppump::detail {

/// The entries of a folder whose names are whole numbers, in order, such as the processes in /proc (proc(5)); those
/// that were seen until reading failed.
UDPPUMP_EXPORT std::vector<int> numbers_in(const std::string& folder);

}  // namespace udppump::detail
