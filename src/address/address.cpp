#include "udppump/address.hpp"

#include <netinet/in.h>

#include <array>
#include <cstring>

#include "address/raw_address.hpp"
#include "address/unix_name.hpp"

namespace udppump {

using detail::has_scope;
using detail::raw_of;
using detail::unix_kind;
using detail::unix_name_of;

namespace {

/// The bytes that make an address itself, for order and hash: the family, then what counts in it. None has no bytes.
class identity {
 public:
  explicit identity(const address& a) noexcept {
    if (a.is_none()) return;
    const sa_family_t family = htons(a.family());
    add(&family, sizeof family);
    if (a.is_ipv4()) {
      const auto raw = raw_of<sockaddr_in>(a);
      add(&raw.sin_addr, sizeof raw.sin_addr);
      add(&raw.sin_port, sizeof raw.sin_port);
    } else if (a.is_ipv6()) {
      const auto raw = raw_of<sockaddr_in6>(a);
      const std::uint32_t scope = htonl(a.scope_id());
      add(&raw.sin6_addr, sizeof raw.sin6_addr);
      add(&raw.sin6_port, sizeof raw.sin6_port);
      add(&scope, sizeof scope);
    } else if (a.is_unix()) {
      const auto name = unix_name_of(a);
      add(&name.kind, sizeof name.kind);
      add(name.bytes.data(), name.bytes.size());
    } else if (a.size() > sizeof(sa_family_t)) {
      add(reinterpret_cast<const char*>(a.data()) + sizeof(sa_family_t), a.size() - sizeof(sa_family_t));
    }
  }

  std::string_view bytes() const noexcept { return {bytes_.data(), size_}; }

 private:
  void add(const void* from, std::size_t size) noexcept {
    if (size != 0) std::memcpy(bytes_.data() + size_, from, size);
    size_ += size;
  }

  std::array<char, address::capacity + 1> bytes_;
  std::size_t size_ = 0;
};

}  // namespace

address address::from_sockaddr(const sockaddr* raw, socklen_t size) noexcept {
  address a;
  if (raw == nullptr || size < sizeof(sa_family_t) || size > capacity) return a;
  std::memcpy(&a.raw_, raw, size);
  a.size_ = size;
  return a;
}

bool address::is_v4_mapped() const noexcept {
  if (!is_ipv6()) return false;
  const auto raw = raw_of<sockaddr_in6>(*this);
  return IN6_IS_ADDR_V4MAPPED(&raw.sin6_addr);
}

bool address::is_wildcard() const noexcept {
  if (is_ipv4() || is_v4_mapped()) return detail::ipv4_host(*this).s_addr == htonl(INADDR_ANY);
  if (!is_ipv6()) return false;
  const in6_addr host = detail::ipv6_host(*this);
  return IN6_IS_ADDR_UNSPECIFIED(&host);
}

bool address::is_multicast() const noexcept {
  if (is_ipv4()) return IN_MULTICAST(ntohl(raw_of<sockaddr_in>(*this).sin_addr.s_addr));
  if (!is_ipv6()) return false;
  const auto raw = raw_of<sockaddr_in6>(*this);
  return IN6_IS_ADDR_MULTICAST(&raw.sin6_addr);
}

std::uint16_t address::port() const noexcept {
  if (is_ipv4()) return ntohs(raw_of<sockaddr_in>(*this).sin_port);
  if (is_ipv6()) return ntohs(raw_of<sockaddr_in6>(*this).sin6_port);
  return 0;
}

address address::with_port(std::uint16_t port) const noexcept {
  if (is_ipv4()) {
    auto raw = raw_of<sockaddr_in>(*this);
    raw.sin_port = htons(port);
    return detail::address_of(raw);
  }
  if (is_ipv6()) {
    auto raw = raw_of<sockaddr_in6>(*this);
    raw.sin6_port = htons(port);
    return detail::address_of(raw);
  }
  return *this;
}

std::uint32_t address::scope_id() const noexcept {
  if (!is_ipv6()) return 0;
  const auto raw = raw_of<sockaddr_in6>(*this);
  return has_scope(raw.sin6_addr) ? raw.sin6_scope_id : 0;
}

std::string address::unix_path() const {
  if (!is_unix()) return {};
  const auto name = unix_name_of(*this);
  return std::string{name.kind == unix_kind::abstract ? "@" : ""}.append(name.bytes);
}

address address::unmapped() const noexcept {
  return is_v4_mapped() ? detail::address_of(detail::raw_ipv4(detail::ipv4_host(*this), port())) : *this;
}

address address::mapped() const noexcept {
  return is_ipv4() ? detail::address_of(detail::raw_ipv6(detail::ipv6_host(*this), 0, port())) : *this;
}

std::strong_ordering operator<=>(const address& a, const address& b) noexcept {
  return identity{a}.bytes() <=> identity{b}.bytes();
}

std::size_t address::hash() const noexcept { return std::hash<std::string_view>{}(identity{*this}.bytes()); }

namespace detail {

in_addr ipv4_host(const address& a) noexcept {
  if (a.is_ipv4()) return raw_of<sockaddr_in>(a).sin_addr;
  in_addr host{};
  if (a.is_v4_mapped()) std::memcpy(&host, raw_of<sockaddr_in6>(a).sin6_addr.s6_addr + 12, sizeof host);
  return host;
}

in6_addr ipv6_host(const address& a) noexcept {
  if (a.is_ipv6()) return raw_of<sockaddr_in6>(a).sin6_addr;
  in6_addr host{};
  if (!a.is_ipv4()) return host;
  const in_addr ipv4 = raw_of<sockaddr_in>(a).sin_addr;
  host.s6_addr[10] = host.s6_addr[11] = 0xff;
  std::memcpy(host.s6_addr + 12, &ipv4, sizeof ipv4);
  return host;
}

unix_name unix_name_of(const address& a) noexcept {
  if (a.size() <= unix_path_offset) return {unix_kind::unnamed, {}};
  const char* const begin = reinterpret_cast<const char*>(a.data()) + unix_path_offset;
  const std::size_t room = a.size() - unix_path_offset;
  if (*begin == '\0') return {unix_kind::abstract, {begin + 1, room - 1}};
  // The terminating zero may or may not be counted in the size (unix(7), BUGS).
  return {unix_kind::path, {begin, strnlen(begin, room)}};
}

}  // namespace detail

}  // namespace udppump
