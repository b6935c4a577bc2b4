#pragma once

#include <string>
#include <udppump/client_limit.hpp>

namespace udppump::tools {

/// "RATE[,burst=N][,v4=/N][,v6=/N]", as --client-limit takes it: datagrams a second for each client, and how long the
/// prefixes are that tell clients apart. Throws std::invalid_argument that quotes the text.
client_limit parse_client_limit(const std::string& text);

}  // namespace udppump::tools
