#pragma once

#include <string>
#include <string_view>

#include "udppump/export.hpp"

namespace udppump {

/// Makes a text that comes from somebody else (a payload, a file's name, an exception's text) safe for a log or a
/// terminal: bytes that could end the line, command the terminal or turn the text around are written as \xNN. These are
/// C0 with the newline, DEL, C1, U+2028 and U+2029, the marks of direction, and bytes that are not UTF-8. All else
/// stays, and a second call changes nothing. The texts of a pool's events are printable already.
UDPPUMP_EXPORT std::string printable(std::string_view text);

}  // namespace udppump
