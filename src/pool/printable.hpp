#pragma once

#include <string>
#include <string_view>

namespace udppump::detail {

/// For a log: what could end the line, command a terminal or turn the text around is written as \xNN, byte by byte: C0
/// with the newline, DEL, C1, U+2028 and U+2029, the marks of direction, and what is no UTF-8. The rest stays as it is.
std::string printable(std::string_view text);

/// The same as one word of a line: white space, quotation marks and backslashes are written so too.
std::string printable_word(std::string_view text);

/// In quotation marks, so that the reader sees where it ends: those inside, and backslashes, get a backslash.
std::string quoted(std::string_view text);

}  // namespace udppump::detail
