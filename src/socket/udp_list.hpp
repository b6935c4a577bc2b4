#pragma once

#include <linux/inet_diag.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

namespace udppump::detail {

/// What the kernel tells of a UDP socket, and what it adds in attributes (sock_diag(7)).
using udp_listed = std::function<void(const inet_diag_msg& told, std::span<const std::byte> attributes)>;

/// Calls `each` for all of a family in this network namespace. `extensions` are bits of inet_diag_req_v2::idiag_ext.
/// Whether the list is whole; false also if the kernel refuses it.
bool list_udp_sockets(int family, std::uint8_t extensions, const udp_listed& each);

/// The content of an attribute; empty if it is not among these.
std::span<const std::byte> attribute_of(std::span<const std::byte> attributes, std::uint16_t type) noexcept;

}  // namespace udppump::detail
