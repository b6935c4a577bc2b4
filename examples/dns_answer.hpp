#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "dns_zone.hpp"

/// What an authoritative server of `zone` says to a packet; nothing if it stays silent (RFC 1034, 1035, 2308, 4592,
/// 6891). Takes any bytes whatsoever. Depends on its arguments only; any thread.
std::optional<std::vector<std::byte>> dns_answer(const dns_zone& zone, std::span<const std::byte> packet);
