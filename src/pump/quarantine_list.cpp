#include "pump/quarantine_list.hpp"

#include <algorithm>
#include <chrono>

#include "address/raw_address.hpp"

namespace udppump::detail {

namespace {

// The first bits of ff00::/8, multicast, which no sender has: what has no 64 bits of its own is told from IPv6 by them.
constexpr std::uint64_t of_ipv4 = 0xffff'ffff'0000'0000, of_zeros = 0xfffe'0000'0000'0000;
constexpr std::uint64_t odd = 0x9e37'79b9'7f4a'7c15;  // spreads keys over rows

std::size_t row_of(std::uint64_t key) noexcept { return (key * odd) >> 58; }
static_assert(quarantine_list::rows == 1 << (64 - 58));

}  // namespace

std::uint64_t sender_key(const address& from) noexcept {
  if (from.is_ipv4() || from.is_v4_mapped()) return of_ipv4 | ntohl(ipv4_host(from).s_addr);
  if (from.is_ipv6()) {
    const in6_addr host = ipv6_host(from);
    const std::uint64_t key = IN6_IS_ADDR_LINKLOCAL(&host) ? last_half_of(host) : first_half_of(host);
    return key == 0 ? of_zeros : key;
  }
  if (from.is_unix() && from.size() > sizeof(sa_family_t)) return from.hash() | 1;
  return 0;
}

bool quarantine_list::holds_key(std::uint64_t key) const noexcept {
  if (key == 0) return false;
  const auto& row = entries[row_of(key)];
  const auto* const found = std::find_if(std::begin(row), std::end(row), [key](const entry& one) {
    return one.key.load(std::memory_order_acquire) == key;
  });
  return found != std::end(row) &&
         found->until.load(std::memory_order_relaxed) > nanoseconds_of(std::chrono::steady_clock::now());
}

void quarantine_list::put(std::uint64_t key, std::uint64_t now, std::uint64_t until) noexcept {
  auto& row = entries[row_of(key)];
  const auto is_same = [key](const entry& one) { return one.key == key; };
  const auto stays = [now](const entry& one) { return one.key == 0 || one.until < now ? 0 : one.until.load(); };
  entry* place = std::find_if(std::begin(row), std::end(row), is_same);
  if (place == std::end(row)) place = std::ranges::min_element(row, {}, stays);
  if (place->key != key) place->key = 0;
  place->until.store(until, std::memory_order_relaxed);
  place->key.store(key, std::memory_order_release);
  is_used = 1;
}

}  // namespace udppump::detail
