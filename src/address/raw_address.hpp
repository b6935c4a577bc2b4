#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "udppump/address.hpp"

namespace udppump::detail {

/// The inside of an address, for system calls that fill it in.
struct raw_address {
  /// Room for sockaddr_storage; then resize() to what was filled in.
  static sockaddr* buffer(address& a) noexcept { return reinterpret_cast<sockaddr*>(&a.raw_); }
  static void resize(address& a, socklen_t size) noexcept { a.size_ = size <= address::capacity ? size : 0; }
  /// Makes it the address of so many bytes, at most the capacity, that the kernel filled in.
  static void copy(address& a, const sockaddr* raw, socklen_t size) noexcept {
    resize(a, size);
    std::memcpy(&a.raw_, raw, a.size_);
  }
  /// Makes it the address that a sockaddr of some family says, without a copy in between.
  template <class Raw>
  static void assign(address& a, const Raw& raw) noexcept {
    std::memcpy(&a.raw_, &raw, sizeof raw);
    a.size_ = sizeof raw;
  }
  /// Of an IPv4 or IPv6 address that is complete; every other stays as it is.
  static void set_port(address& a, std::uint16_t port) noexcept {
    static_assert(offsetof(sockaddr_in, sin_port) == offsetof(sockaddr_in6, sin6_port));
    if (a.is_ipv4() || a.is_ipv6()) reinterpret_cast<sockaddr_in&>(a.raw_).sin_port = htons(port);
  }
};

/// To read the kernel's form: what the kernel did not fill in is zero.
template <class Raw>
Raw raw_of(const address& a) noexcept {
  Raw raw{};
  if (a.size() >= sizeof raw) {
    std::memcpy(&raw, a.data(), sizeof raw);
  } else {
    std::memcpy(&raw, a.data(), a.size());
  }
  return raw;
}

template <class Raw>
address address_of(const Raw& raw, std::size_t size = sizeof(Raw)) noexcept {
  return address::from_sockaddr(reinterpret_cast<const sockaddr*>(&raw), static_cast<socklen_t>(size));
}

/// Whether a scope belongs to such a host. Elsewhere the kernel ignores the scope id and reports 0 (net/ipv6.h:
/// __ipv6_addr_needs_scope_id).
inline bool has_scope(const in6_addr& host) noexcept {
  return IN6_IS_ADDR_LINKLOCAL(&host) || IN6_IS_ADDR_MC_LINKLOCAL(&host) || IN6_IS_ADDR_MC_NODELOCAL(&host);
}

inline sockaddr_in raw_ipv4(const in_addr& host, std::uint16_t port = 0) noexcept {
  sockaddr_in raw{};
  raw.sin_family = AF_INET;
  raw.sin_port = htons(port);
  raw.sin_addr = host;
  return raw;
}
/// `scope` counts only if has_scope().
inline sockaddr_in6 raw_ipv6(const in6_addr& host, std::uint32_t scope = 0, std::uint16_t port = 0) noexcept {
  sockaddr_in6 raw{};
  raw.sin6_family = AF_INET6;
  raw.sin6_port = htons(port);
  raw.sin6_addr = host;
  if (has_scope(host)) raw.sin6_scope_id = scope;
  return raw;
}
/// The host of an IPv4 address, or of an IPv6 one that stands for IPv4; 0.0.0.0 of every other.
in_addr ipv4_host(const address& a) noexcept;
/// The host of an IPv6 address, or ::ffff:a.b.c.d for IPv4; :: of every other.
in6_addr ipv6_host(const address& a) noexcept;

/// 64 bits of an IPv6 host as a number, the first or the last.
inline std::uint64_t first_half_of(const in6_addr& host) noexcept {
  return std::uint64_t{ntohl(host.s6_addr32[0])} << 32 | ntohl(host.s6_addr32[1]);
}
inline std::uint64_t last_half_of(const in6_addr& host) noexcept {
  return std::uint64_t{ntohl(host.s6_addr32[2])} << 32 | ntohl(host.s6_addr32[3]);
}

}  // namespace udppump::detail
