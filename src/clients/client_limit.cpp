#include "udppump/client_limit.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>

#include "clients/client_table.hpp"

namespace udppump {

namespace detail {

namespace {

constexpr double slowest = 0.001, fastest = 1e6;
constexpr std::size_t largest_burst = 1'000'000;
constexpr double longest_recovery = 24 * 3600;  // seconds
constexpr double longest_lateness = 3600;       // as of a worker that was stopped for a while

// Times are in units of 64 ns, so that those of an entry are modulo 13 days. After such a silence a client would seem
// to owe again. So a sweep frees all entries whose time is over, which it is 43 hours after the client's last datagram
// (the longest recovery, 64 datagrams at the slowest rate, and a worker's lateness).
constexpr unsigned unit_bits = 6;
constexpr double units_a_second = 1e9 / (1 << unit_bits);
constexpr std::int64_t sweep_interval = 2 * 24 * 3600 * static_cast<std::int64_t>(units_a_second);

std::size_t burst_of(const client_rate& rule) noexcept {
  if (rule.burst != 0) return rule.burst;
  return std::max<std::size_t>(1, static_cast<std::size_t>(rule.rate));
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
  return rule;
}

client_rows::terms terms_of(const client_rate& rule) {
  const auto in_units = [&](double datagrams) {
    return static_cast<std::uint64_t>(std::llround(datagrams * units_a_second / rule.rate));
  };
  return {.cost = in_units(1),
          .tolerance = in_units(static_cast<double>(burst_of(rule) - 1)),
          .lateness = static_cast<std::uint64_t>(longest_lateness * units_a_second)};
}

}  // namespace

client_table::client_table(const client_rate& rule)
    : terms_{terms_of(checked(rule))},
      key_{"client_limit", {.ipv4 = rule.ipv4_prefix, .ipv6 = rule.ipv6_prefix}},
      rows_{"client_limit"} {}

bool client_table::is_sweep_due(std::uint64_t now) noexcept {
  const std::uint64_t swept = rows_.note().load(std::memory_order_relaxed);
  return swept == 0 || static_cast<std::int64_t>(now - swept) > sweep_interval;
}

/// What was written before half of the time that an entry can tell is over, as there was no datagram since. Who is
/// killed meanwhile leaves it to the next.
void client_table::sweep(std::uint64_t now) noexcept {
  const std::uint64_t swept = rows_.note().load(std::memory_order_relaxed);
  if (swept != 0) rows_.sweep(now, terms_, now - swept > client_rows::time_mask / 2);
  rows_.note().store(std::max(now, std::uint64_t{1}), std::memory_order_relaxed);
}

bool client_table::admits(const address& from, time_point at, std::size_t count, last_client& last) noexcept {
  const auto hash = key_.hash_of(from, last);
  if (!hash) return true;
  const std::uint64_t now = static_cast<std::uint64_t>(at.time_since_epoch().count()) >> unit_bits;
  if (is_sweep_due(now)) [[unlikely]]
    sweep(now);
  return rows_.admits(*hash, now, count, terms_);
}

}  // namespace detail

client_limit::client_limit(const client_rate& rule) { table_ = std::make_shared<detail::client_table>(rule); }

bool client_limit::admits(const address& from, std::chrono::steady_clock::time_point now,
                          std::size_t count) const noexcept {
  detail::last_client last;
  return !table_ || table_->admits(from, now, count, last);
}

}  // namespace udppump
