#pragma once

#include <string>
#include <string_view>

#include "udppump/printable.hpp"

namespace udppump::detail {

/// printable() as one word of a line: white space, quotation marks and backslashes are written so too.
UDPPUMP_EXPORT std::string printable_word(std::string_view text);

/// In quotation marks, so that the reader sees where it ends: those inside, and backslashes, get a backslash.
UDPPUMP_EXPORT std::string quoted(std::string_view text);

}  // namespace udppump::detail
