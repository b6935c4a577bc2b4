#pragma once

#include <vector>

#include "udppump/export.hpp"

namespace udppump::detail {

/// Closes all of this process's descriptors above 2 but those in `kept`, whoever opened them. For a process that is
/// about to execute a program, or has just been forked and has one thread. Throws std::system_error if it cannot know
/// which there are.
UDPPUMP_EXPORT void close_others(std::vector<int> kept);

}  // namespace udppump::detail
