#include "metrics/usage_history.hpp"

namespace udppump::metrics {

namespace {

template <class Count>
Count grown(Count told, Count before, Count now) {
  return now > before ? told + (now - before) : told;
}

}  // namespace

void usage_history::keep_from_going_back(std::vector<pool_status>& pools) {
  std::map<key, past> now;
  for (pool_status& pool : pools) {
    look_at({pool.parent, 0}, pool.uptime, pool.usage, now);
    for (worker_status& each : pool.workers) look_at({pool.parent, each.pid}, each.uptime, each.usage, now);
  }
  known_ = std::move(now);
}

void usage_history::look_at(const key& whose, std::chrono::nanoseconds uptime, std::optional<process_usage>& usage,
                            std::map<key, past>& now) const {
  const auto found = known_.find(whose);
  // One that is younger than at the last look is another, that has got its id.
  const bool is_known = found != known_.end() && found->second.uptime <= uptime;
  if (!usage) {
    if (is_known) now.emplace(whose, found->second);  // it may be that it cannot be looked at just now
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
  now.insert_or_assign(whose, past{uptime, seen, told});
}

}  // namespace udppump::metrics
