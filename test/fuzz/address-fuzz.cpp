// Any text: what parses prints so that it parses to the same address. Any bytes of any size: no question about the
// address reads past them, and it equals, orders and hashes as its copy.

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "udppump/address.hpp"

#include "address/raw_address.hpp"

namespace {

using udppump::address;

void check(bool holds) {
  if (!holds) std::abort();
}

void check_same(const address& a, const address& b) {
  check(a == b && !(a < b) && !(a > b));
  check(a.hash() == b.hash());
}

void check_ordered(const address& a, const address& b) {
  check((a < b) + (a == b) + (a > b) == 1);
  check((a < b) == (b > a));
  if (a == b) check(a.hash() == b.hash());
}

void check_text(std::string_view text) {
  const auto a = address::parse_numeric(text);
  if (!a) return;
  check(!a->is_none());
  const auto again = address::parse_numeric(a->to_string());
  check(again.has_value());
  check_same(*again, *a);
  check(again->to_string() == a->to_string());
}

void check_raw(const std::uint8_t* data, std::size_t size) {
  alignas(sockaddr_storage) std::array<std::uint8_t, address::capacity + 2> raw{};
  std::memcpy(raw.data(), data, size < raw.size() ? size : raw.size());
  const auto* const kernels = reinterpret_cast<const sockaddr*>(raw.data());
  const auto a = address::from_sockaddr(kernels, static_cast<socklen_t>(size));

  // The same bytes with something else behind them, as a buffer that was used before.
  address reused;
  std::memset(udppump::detail::raw_address::buffer(reused), 0xa5, address::capacity);
  std::memcpy(udppump::detail::raw_address::buffer(reused), a.data(), a.size());
  udppump::detail::raw_address::resize(reused, a.size());
  check_same(a, reused);
  check(a.to_string() == reused.to_string());
  check(a.port() == reused.port() && a.scope_id() == reused.scope_id() && a.unix_path() == reused.unix_path());
  check(a.is_wildcard() == reused.is_wildcard() && a.is_multicast() == reused.is_multicast());

  check(a.with_port(4711).port() == (a.is_ipv4() || a.is_ipv6() ? 4711 : 0));
  check_same(a.with_port(a.port()), a);
  if (a.is_v4_mapped()) check_same(a.unmapped().mapped(), a);
  check_same(a.mapped().unmapped(), a.unmapped());
  check_ordered(a, a.unmapped());
  check_ordered(a, address{});
  if (const auto read = address::parse_numeric(a.to_string())) check_same(*read, a);

  // Two addresses of one input: its halves.
  const auto half = size / 2;
  const auto first = address::from_sockaddr(kernels, static_cast<socklen_t>(half));
  std::memmove(raw.data(), raw.data() + (half < raw.size() ? half : 0), half < raw.size() ? raw.size() - half : 0);
  check_ordered(first, address::from_sockaddr(kernels, static_cast<socklen_t>(size - half)));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  check_text({reinterpret_cast<const char*>(data), size});
  check_raw(data, size);
  return 0;
}
