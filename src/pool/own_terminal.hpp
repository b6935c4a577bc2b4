#pragma once

#include <string>

namespace udppump::detail {

/// Before this process becomes somebody who is less than whoever sits at its terminal: a terminal among the descriptors
/// 0 to 2 is opened anew, for writing alone, and 0 is /dev/null in its place. So nobody who is started from here reads
/// what is typed there, or takes it as his own (TIOCSCTTY). Returns what could not be done without privileges, for a
/// log, or nothing. Throws std::system_error if it could not be done with them.
std::string leave_terminal();

}  // namespace udppump::detail
