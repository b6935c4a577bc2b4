#include "clients/client_key.hpp"

#include <bit>
#include <stdexcept>
#include <string>

#include "address/raw_address.hpp"
#include "sys/failure.hpp"
#include "sys/sys_file.hpp"

namespace udppump::detail {

namespace {

constexpr std::uint64_t family_ipv4 = 4, family_ipv6 = 6;
constexpr unsigned family_bits = 4;

/// SipHash-1-3 (Aumasson, Bernstein) of some words and one more of less than 8 bytes.
template <std::size_t Words>
std::uint64_t keyed_hash(const std::uint64_t (&key)[2], const std::uint64_t (&words)[Words],
                         std::uint64_t last) noexcept {
  constexpr std::uint64_t bytes = 8 * Words + 7;
  std::uint64_t a = key[0] ^ 0x736f6d6570736575, b = key[1] ^ 0x646f72616e646f6d, c = key[0] ^ 0x6c7967656e657261,
                d = key[1] ^ 0x7465646279746573;
  const auto round = [&] {
    a += b, b = std::rotl(b, 13) ^ a, a = std::rotl(a, 32);
    c += d, d = std::rotl(d, 16) ^ c;
    a += d, d = std::rotl(d, 21) ^ a;
    c += b, b = std::rotl(b, 17) ^ c, c = std::rotl(c, 32);
  };
  const auto take = [&](std::uint64_t word) {
    d ^= word;
    round();
    a ^= word;
  };
  for (const std::uint64_t each : words) take(each);
  take(last | bytes << 56);
  c ^= 0xff;
  round(), round(), round();
  return a ^ b ^ c ^ d;
}

/// The first `bits` of 64.
std::uint64_t cut(std::uint64_t value, unsigned bits) noexcept {
  if (bits == 0) return 0;
  return bits >= 64 ? value : value & ~(~std::uint64_t{0} >> bits);
}

/// Throws std::invalid_argument with the cure. Returns the prefixes.
const client_prefixes& checked(const std::string& option, const client_prefixes& prefixes) {
  const auto refuse = [&](const std::string& why) { throw std::invalid_argument{option + ": " + why}; };
  if (prefixes.ipv4 < 1 || prefixes.ipv4 > 32) {
    refuse("ipv4_prefix is " + std::to_string(prefixes.ipv4) + " bits; give 1 to 32");
  }
  if (prefixes.ipv6 < 1 || prefixes.ipv6 > 128) {
    refuse("ipv6_prefix is " + std::to_string(prefixes.ipv6) + " bits; give 1 to 128");
  }
  return prefixes;
}

}  // namespace

client_key::client_key(const char* option, const client_prefixes& prefixes) : prefixes_{checked(option, prefixes)} {
  if (const auto came = sys::random(key_, sizeof key_); came != static_cast<ssize_t>(sizeof key_)) {
    fail(came < 0 ? -came : EIO, std::string{"getrandom, for "} + option);
  }
}

std::optional<std::uint64_t> client_key::hash_of(const address& from, last_client& last,
                                                 std::uint64_t realm) const noexcept {
  last_client now;
  const bool is_ipv4 = from.is_ipv4() || from.is_v4_mapped();
  if (is_ipv4) {
    now.high = cut(std::uint64_t{ntohl(ipv4_host(from).s_addr)} << 32, prefixes_.ipv4);
    now.rest = realm << family_bits | family_ipv4;
  } else if (from.is_ipv6()) {
    const in6_addr host = ipv6_host(from);
    const unsigned bits = IN6_IS_ADDR_LINKLOCAL(&host) ? 128 : prefixes_.ipv6;
    now.high = cut(first_half_of(host), bits);
    now.low = cut(last_half_of(host), bits > 64 ? bits - 64 : 0);
    now.rest = realm << family_bits | family_ipv6;
  } else {
    return {};
  }
  if (now.high == last.high && now.low == last.low && now.rest == last.rest) return last.hash;
  now.hash = is_ipv4 ? keyed_hash(key_, {now.high}, now.rest) : keyed_hash(key_, {now.high, now.low}, now.rest);
  last = now;
  return now.hash;
}

}  // namespace udppump::detail
