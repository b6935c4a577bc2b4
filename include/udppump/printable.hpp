#pragma once

#include <string>
#include <string_view>

#include "udppump/export.hpp"

namespace udppump {

/// A text of somebody else's, such as a payload, a file's name or an exception's words, for a log or a terminal: what
/// could end the line, command the terminal or turn the text around is written as \xNN, byte by byte. That is C0 with
/// the newline, DEL, C1, U+2028 and U+2029, the marks of direction, and what is no UTF-8. The rest stays as it is, and
/// so does what was made printable before. The texts of a pool's events are so already.
UDPPUMP_EXPORT std::string printable(std::string_view text);

}  // namespace udppump
