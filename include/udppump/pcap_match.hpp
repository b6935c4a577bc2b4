#pragma once

#include <string_view>

#include "udppump/export.hpp"
#include "udppump/payload_match.hpp"

namespace udppump {

/// A match in the language of tcpdump and libpcap (pcap-filter(7)) over the payload of a datagram: `payload[0] = 1`,
/// `payload[2:2] & 0x8000 != 0 and len < 100`. Numbers of 2 and 4 bytes are in network order. `len` is the payload's
/// length; `less 10` means at most 10. Looking beyond the payload's end ends it: the datagram is not taken, so
/// write what asks for the length first (`less 4 or payload[4] = 1`). What
/// speaks of headers (`host`, `port`, `ip`...) has no meaning here. An empty expression takes every datagram.
///
/// Part of udppump::pcap, which links libpcap. Throws std::invalid_argument with libpcap's message. Any thread.
UDPPUMP_EXPORT payload_match pcap_match(std::string_view expression);

}  // namespace udppump
