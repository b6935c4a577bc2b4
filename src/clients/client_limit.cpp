#include "udppump/client_limit.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <stdexcept>
#include <string>

#include "address/raw_address.hpp"
#include "clients/client_table.hpp"
#include "sys/failure.hpp"
#include "sys/sys.hpp"
#include "sys/sys_file.hpp"

namespace udppump {

namespace detail {

namespace {

constexpr double slowest = 0.001, fastest = 1e6;
constexpr std::size_t largest_burst = 1'000'000;
constexpr double longest_recovery = 24 * 3600;  // seconds

// An entry: the client's tag, then a time in units of 64 ns, modulo 2^44, which is 13 days. After such a silence a
// client would seem to owe again. So a sweep frees all entries whose time is over, which it is 42 hours after the
// client's last datagram (the longest recovery, and 64 datagrams at the slowest rate).
constexpr unsigned time_bits = 44, unit_bits = 6;
constexpr std::uint64_t time_mask = (std::uint64_t{1} << time_bits) - 1;
constexpr double units_a_second = 1e9 / (1 << unit_bits);
constexpr std::int64_t sweep_interval = 2 * 24 * 3600 * static_cast<std::int64_t>(units_a_second);
constexpr int tries = 16;
constexpr std::size_t entry_count = client_table::rows * client_table::row_length;
constexpr std::size_t mapped_size = (entry_count + 1) * sizeof(std::uint64_t);

constexpr std::uint64_t family_ipv4 = 4, family_ipv6 = 6;

std::size_t burst_of(const client_rate& rule) noexcept {
  if (rule.burst != 0) return rule.burst;
  return std::max<std::size_t>(1, static_cast<std::size_t>(rule.rate));
}

/// SipHash-1-3 (Aumasson, Bernstein) of two words and a third of less than 8 bytes.
std::uint64_t keyed_hash(const std::uint64_t (&key)[2], std::uint64_t first, std::uint64_t second,
                         std::uint64_t last) noexcept {
  std::uint64_t a = key[0] ^ 0x736f6d6570736575, b = key[1] ^ 0x646f72616e646f6d, c = key[0] ^ 0x6c7967656e657261,
                d = key[1] ^ 0x7465646279746573;
  const auto round = [&] {
    a += b, b = std::rotl(b, 13) ^ a, a = std::rotl(a, 32);
    c += d, d = std::rotl(d, 16) ^ c;
    a += d, d = std::rotl(d, 21) ^ a;
    c += b, b = std::rotl(b, 17) ^ c, c = std::rotl(c, 32);
  };
  for (const std::uint64_t each : {first, second, last | std::uint64_t{17} << 56}) {
    d ^= each;
    round();
    a ^= each;
  }
  c ^= 0xff;
  round(), round(), round();
  return a ^ b ^ c ^ d;
}

/// The first `bits` of 64.
std::uint64_t cut(std::uint64_t value, unsigned bits) noexcept {
  if (bits == 0) return 0;
  return bits >= 64 ? value : value & ~(~std::uint64_t{0} >> bits);
}

/// Throws std::invalid_argument with the cure. Returns the rule.
const client_rate& checked(const client_rate& rule) {
  const auto refuse = [](const std::string& why) { throw std::invalid_argument{"client_limit: " + why}; };
  if (!(rule.rate >= slowest && rule.rate <= fastest)) {
    refuse("rate is " + std::to_string(rule.rate) + " datagrams a second; give 0.001 to 1,000,000");
  }
  if (rule.burst > largest_burst) {
    refuse("burst is " + std::to_string(rule.burst) + " datagrams; give 1 to 1,000,000, or 0 for those of a second");
  }
  if (static_cast<double>(burst_of(rule)) > longest_recovery * rule.rate && burst_of(rule) > 1) {
    refuse("burst is " + std::to_string(rule.burst) +
           " datagrams, more than a client may send in a day; give a smaller burst or a higher rate");
  }
  if (rule.ipv4_prefix < 1 || rule.ipv4_prefix > 32) {
    refuse("ipv4_prefix is " + std::to_string(rule.ipv4_prefix) + " bits; give 1 to 32");
  }
  if (rule.ipv6_prefix < 1 || rule.ipv6_prefix > 128) {
    refuse("ipv6_prefix is " + std::to_string(rule.ipv6_prefix) + " bits; give 1 to 128");
  }
  return rule;
}

}  // namespace

client_table::client_table(const client_rate& rule)
    : interval_{static_cast<std::uint64_t>(std::llround(units_a_second / checked(rule).rate))},
      tolerance_{static_cast<std::uint64_t>(
          std::llround(static_cast<double>(burst_of(rule) - 1) * units_a_second / rule.rate))},
      ipv4_prefix_{rule.ipv4_prefix},
      ipv6_prefix_{rule.ipv6_prefix} {
  if (const auto came = sys::random(key_, sizeof key_); came != static_cast<ssize_t>(sizeof key_)) {
    fail(came < 0 ? -came : EIO, "getrandom, for client_limit");
  }
  entries_ = static_cast<word*>(sys::map_anonymous(mapped_size, MAP_SHARED));
  if (entries_ == nullptr) fail(ENOMEM, "mmap of 260 KiB, for client_limit: raise the limit of memory (ulimit -v)");
  swept_ = entries_ + entry_count;
}

client_table::~client_table() { sys::unmap(entries_, mapped_size); }

std::optional<std::uint64_t> client_table::hash_of(const address& from) const noexcept {
  if (from.is_ipv4() || from.is_v4_mapped()) {
    const std::uint64_t host = ntohl(ipv4_host(from).s_addr);
    return keyed_hash(key_, cut(host << 32, ipv4_prefix_), 0, family_ipv4);
  }
  if (!from.is_ipv6()) return {};
  const in6_addr host = ipv6_host(from);
  const unsigned bits = IN6_IS_ADDR_LINKLOCAL(&host) ? 128 : ipv6_prefix_;
  const std::uint64_t high = cut(first_half_of(host), bits);
  const std::uint64_t low = cut(last_half_of(host), bits > 64 ? bits - 64 : 0);
  return keyed_hash(key_, high, low, family_ipv6);
}

/// What the entry's client owes. No more than this can be, so what seems to is an entry whose time is over.
std::uint64_t client_table::debt_of(std::uint64_t entry, std::uint64_t now) const noexcept {
  const std::uint64_t ahead = (entry - now) & time_mask;
  return entry == 0 || ahead > tolerance_ + most_at_once * interval_ ? 0 : ahead;
}

bool client_table::is_sweep_due(std::uint64_t now) const noexcept {
  const std::uint64_t swept = swept_->load(std::memory_order_relaxed);
  return swept == 0 || static_cast<std::int64_t>(now - swept) > sweep_interval;
}

/// Frees the entries whose time is over. What was written before half of the time that an entry can tell is over, as
/// there was no datagram since. Several processes may do this at once; who is killed meanwhile leaves it to the next.
void client_table::sweep(std::uint64_t now) noexcept {
  const std::uint64_t swept = swept_->load(std::memory_order_relaxed);
  const bool is_all_over = now - swept > time_mask / 2;
  for (word* each = entries_; swept != 0 && each != swept_; ++each) {
    std::uint64_t entry = each->load(std::memory_order_relaxed);
    if (entry == 0 || (!is_all_over && debt_of(entry, now) != 0)) continue;
    each->compare_exchange_strong(entry, 0, std::memory_order_relaxed);
  }
  swept_->store(std::max(now, std::uint64_t{1}), std::memory_order_relaxed);
}

bool client_table::admits(const address& from, time_point at, std::size_t count) noexcept {
  const auto hash = hash_of(from);
  if (!hash) return true;
  const std::uint64_t now = static_cast<std::uint64_t>(at.time_since_epoch().count()) >> unit_bits;
  if (is_sweep_due(now)) [[unlikely]]
    sweep(now);
  const std::uint64_t tag = std::max(*hash >> time_bits, std::uint64_t{1}) << time_bits;
  word* const row = entries_ + *hash % rows * row_length;
  for (int left = tries; left > 0; --left) {
    word* place = row;
    std::uint64_t before = 0, debt = 0, least = ~std::uint64_t{0};
    for (word* each = row; each != row + row_length; ++each) {
      const std::uint64_t entry = each->load(std::memory_order_relaxed);
      const std::uint64_t owed = debt_of(entry, now);
      if (entry != 0 && (entry & ~time_mask) == tag) {
        place = each, before = entry, debt = owed;
        break;
      }
      if (owed < least) place = each, before = entry, least = owed;
    }
    if (debt > tolerance_) return false;
    const std::uint64_t until = now + debt + std::min<std::uint64_t>(count, most_at_once) * interval_;
    if (place->compare_exchange_weak(before, tag | (until & time_mask), std::memory_order_relaxed)) return true;
  }
  return true;  // others change the row all the time: to the client's favour
}

}  // namespace detail

client_limit::client_limit(const client_rate& rule) { table_ = std::make_shared<detail::client_table>(rule); }

bool client_limit::admits(const address& from, std::chrono::steady_clock::time_point now,
                          std::size_t count) const noexcept {
  return !table_ || table_->admits(from, now, count);
}

}  // namespace udppump
