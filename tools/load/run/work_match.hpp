#pragma once

#include "load/plan/clock.hpp"
#include "udppump/payload_match.hpp"

namespace udppump::load {

/// Takes work requests (work_message.hpp) that ask for this much at most; `most` is not negative. The same in tcpdump's
/// language, for a time below 4.2 s: "payload[16:4] = 0 and payload[20:4] <= 1000000".
payload_match asks_at_most(nanoseconds most);

}  // namespace udppump::load
