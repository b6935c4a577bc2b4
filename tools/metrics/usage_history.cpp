#include "metrics/usage_history.hpp"

#include <algorithm>
#include <cstddef>

namespace udppump::metrics {

namespace {

constexpr std::chrono::minutes remembered_for{15};
constexpr std::size_t most_missing = 10'000;
/// Uptimes are of some moment between the beginning and the end of a look.
constexpr std::chrono::seconds longest_look{10};

template <class Count>
Count grown(Count told, Count before, Count now) {
  return now > before ? told + (now - before) : told;
}

}  // namespace

void usage_history::keep_from_going_back(std::vector<pool_status>& pools, clock::time_point now) {
  for (pool_status& pool : pools) {
    look_at({pool.parent, 0}, pool.uptime, pool.usage, now);
    for (worker_status& each : pool.workers) look_at({pool.parent, each.pid}, each.uptime, each.usage, now);
  }
  forget_missing(now);
}

/// One that is younger than at the last look, or that began after it, is another, that has got its id.
bool usage_history::past::is_of(std::chrono::nanoseconds uptime_now, clock::time_point now) const noexcept {
  return uptime <= uptime_now && now - at - longest_look <= uptime_now;
}

void usage_history::look_at(const key& whose, std::chrono::nanoseconds uptime, std::optional<process_usage>& usage,
                            clock::time_point now) {
  const auto found = known_.find(whose);
  const bool is_known = found != known_.end() && found->second.is_of(uptime, now);
  if (!usage) {  // it may be that it cannot be looked at just now
    if (is_known) {
      found->second.at = now;
      found->second.uptime = uptime;
    } else if (found != known_.end()) {
      known_.erase(found);
    }
    return;
  }
  const counts seen{usage->cpu, usage->voluntary_switches, usage->involuntary_switches};
  counts told = seen;
  if (is_known) {
    const past& before = found->second;
    told = {grown(before.told.cpu, before.seen.cpu, seen.cpu),
            grown(before.told.voluntary, before.seen.voluntary, seen.voluntary),
            grown(before.told.involuntary, before.seen.involuntary, seen.involuntary)};
  }
  usage->cpu = told.cpu;
  usage->voluntary_switches = told.voluntary;
  usage->involuntary_switches = told.involuntary;
  known_.insert_or_assign(whose, past{now, uptime, seen, told});
}

void usage_history::forget_missing(clock::time_point now) {
  std::erase_if(known_, [now](const auto& each) { return now - each.second.at > remembered_for; });
  std::vector<std::pair<clock::time_point, key>> missing;
  for (const auto& [whose, one] : known_) {
    if (one.at != now) missing.emplace_back(one.at, whose);
  }
  if (missing.size() <= most_missing) return;
  const auto kept = missing.end() - static_cast<std::ptrdiff_t>(most_missing);
  std::nth_element(missing.begin(), kept, missing.end());
  for (auto each = missing.begin(); each != kept; ++each) known_.erase(each->second);
}

}  // namespace udppump::metrics
