#pragma once

#include <sys/socket.h>

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "udppump/export.hpp"

namespace udppump {

namespace detail {
struct raw_address;
}

/// A socket address of any family: IPv4, IPv6 (with its scope), Unix (path, abstract, unnamed), any other that the
/// kernel reports (netlink, packet), or none. A value: it copies, compares, hashes, and never allocates.
///
/// Written forms, parsed and printed back the same:
///   "192.0.2.1:53"  "[2001:db8::1]:53"  "[fe80::1%eth0]:53"  "[::ffff:192.0.2.1]:53"  "unix:/run/x.sock"  "unix:@name"
/// Accepted as well: ":53" (the IPv6 wildcard, which with v6only off also takes IPv4; prints "[::]:53") and "name:53"
/// (asks the resolver). Printed only: "unix:" (an unnamed Unix peer), "none", "netlink:PID", "family 17".
/// In a Unix path or name any byte may be written \xNN (two hexadecimal digits). Printed so: what is not printable
/// ASCII, the backslash, and an '@' that begins a path. A scope may be an interface's name or index; it prints as the
/// name if there is one.
class UDPPUMP_EXPORT address {
 public:
  /// No address; what an unnamed peer has.
  address() noexcept = default;

  /// Reads a written form; a name is looked up (this may block for seconds) and its first address taken.
  /// Throws std::system_error that quotes the text and says what is wrong with it.
  static address parse(std::string_view text);
  /// All addresses of a written form, in the resolver's order, without repeats; never empty. Throws as parse() does.
  static std::vector<address> resolve(std::string_view text);
  /// parse() without the resolver: nothing if the text is not a numeric or Unix address. Never blocks or throws.
  static std::optional<address> parse_numeric(std::string_view text) noexcept;
  /// Copies `size` bytes of a kernel's sockaddr; none if size is too small for a family or larger than
  /// sockaddr_storage.
  static address from_sockaddr(const sockaddr* raw, socklen_t size) noexcept;

  bool is_none() const noexcept { return size_ == 0; }
  bool is_ipv4() const noexcept { return family() == AF_INET; }
  bool is_ipv6() const noexcept { return family() == AF_INET6; }
  bool is_unix() const noexcept { return family() == AF_UNIX; }
  /// An IPv6 address of the form ::ffff:a.b.c.d, by which an IPv6 socket speaks of IPv4 (RFC 4291, 2.5.5.2).
  bool is_v4_mapped() const noexcept;
  /// 0.0.0.0, :: or ::ffff:0.0.0.0, whatever the port.
  bool is_wildcard() const noexcept;
  /// IPv4 224.0.0.0/4 or IPv6 ff00::/8.
  bool is_multicast() const noexcept;

  /// AF_INET, AF_INET6, AF_UNIX...; AF_UNSPEC for none.
  sa_family_t family() const noexcept { return size_ == 0 ? sa_family_t{AF_UNSPEC} : raw_.ss_family; }
  /// In host byte order; 0 if the family has no ports.
  std::uint16_t port() const noexcept;
  /// The same address with another port; unchanged if the family has no ports.
  address with_port(std::uint16_t port) const noexcept;
  /// The interface index of a link-local IPv6 address; 0 for none.
  std::uint32_t scope_id() const noexcept;
  /// Path of a Unix address without the terminating zero; "@name" for an abstract one; empty for every other.
  std::string unix_path() const;

  /// a.b.c.d for ::ffff:a.b.c.d, else itself.
  address unmapped() const noexcept;
  /// ::ffff:a.b.c.d for IPv4 a.b.c.d, else itself.
  address mapped() const noexcept;

  /// For system calls: the kernel's form and its size in bytes (0 for none). Valid as long as this object.
  const sockaddr* data() const noexcept { return reinterpret_cast<const sockaddr*>(&raw_); }
  socklen_t size() const noexcept { return size_; }
  static constexpr socklen_t capacity = sizeof(sockaddr_storage);

  std::string to_string() const;

  /// Same family, address, port, scope or path. The order is total, for ordered containers; it means nothing else.
  friend bool operator==(const address& a, const address& b) noexcept { return (a <=> b) == 0; }
  UDPPUMP_EXPORT friend std::strong_ordering operator<=>(const address& a, const address& b) noexcept;
  UDPPUMP_EXPORT friend std::ostream& operator<<(std::ostream& out, const address& a);
  std::size_t hash() const noexcept;

 private:
  friend struct detail::raw_address;
  sockaddr_storage raw_{};
  socklen_t size_ = 0;
};

}  // namespace udppump

template <>
struct std::hash<udppump::address> {
  std::size_t operator()(const udppump::address& a) const noexcept { return a.hash(); }
};
