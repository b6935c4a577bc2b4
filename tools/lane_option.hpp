#pragma once

#include <string>
#include <vector>

#include "udppump/lanes.hpp"

namespace udppump::tools {

/// "NAME[=EXPRESSION][,reserve=N][,workers=N][,receive-buffer=SIZE]", with an expression as pcap_match() reads it.
/// Throws std::invalid_argument that says what was expected, or with libpcap's message and the lane's name.
lane parse_lane(const std::string& text);

/// If the last of them has a match, what none takes is in a further lane, "rest".
void add_rest(std::vector<lane>& lanes);

}  // namespace udppump::tools
