#include "metrics/pool_labels.hpp"

#include <algorithm>
#include <utility>

namespace udppump::metrics {

namespace {

std::string base_of(const pool_status& pool) { return pool.name.empty() ? "unnamed" : pool.name; }

std::vector<ino_t> sockets_of(const pool_status& pool) {
  std::vector<ino_t> all;
  for (const socket_status& each : pool.sockets) all.push_back(each.inode);
  std::ranges::sort(all);
  return all;
}

bool have_common(const std::vector<ino_t>& some, const std::vector<ino_t>& others) {
  return std::ranges::any_of(some, [&others](ino_t one) { return std::ranges::binary_search(others, one); });
}

}  // namespace

std::vector<std::string> pool_labels::of(std::span<const pool_status> pools) {
  forget_ended(pools);
  std::vector<const pool_status*> longest_first;
  for (const pool_status& each : pools) longest_first.push_back(&each);
  std::ranges::stable_sort(longest_first,
                           [](const auto* one, const auto* other) { return one->uptime > other->uptime; });
  for (const pool_status* const each : longest_first) {
    const auto found = known_.find(each->parent);
    const std::string base = base_of(*each);
    known_pool now{.label = found != known_.end() ? found->second.label : free_label(base),
                   .base = base,
                   .uptime = each->uptime,
                   .user = each->user,
                   .sockets = sockets_of(*each)};
    known_.insert_or_assign(each->parent, std::move(now));
  }
  std::vector<std::string> labels;
  for (const pool_status& each : pools) labels.push_back(known_.at(each.parent).label);
  return labels;
}

void pool_labels::forget_ended(std::span<const pool_status> pools) {
  std::map<pid_t, const pool_status*> there;
  for (const pool_status& each : pools) there.emplace(each.parent, &each);
  std::vector<known_pool> ended;
  std::erase_if(known_, [&](const auto& known) {
    const auto& [parent, one] = known;
    const auto found = there.find(parent);
    // One that is younger than at the last look is another, that has got its id.
    if (found != there.end() && found->second->uptime >= one.uptime && base_of(*found->second) == one.base) {
      return false;
    }
    ended.push_back(one);
    return true;
  });
  // After several take-overs in a row, the last pool has the label of the first, which is given last.
  std::ranges::sort(ended, {}, &known_pool::uptime);
  for (const known_pool& gone : ended) {
    const auto heir =
        std::ranges::find_if(known_, [&](const auto& known) { return has_taken_over(known.second, gone); });
    if (heir != known_.end()) heir->second.label = gone.label;
  }
}

/// Both tell which sockets they have, and as whom they run is told by the kernel.
bool pool_labels::has_taken_over(const known_pool& later, const known_pool& ended) const {
  return later.base == ended.base && later.user == ended.user && later.uptime < ended.uptime &&
         have_common(later.sockets, ended.sockets);
}

std::string pool_labels::free_label(const std::string& base) const {
  const auto is_free = [this](const std::string& label) {
    return std::ranges::none_of(known_, [&label](const auto& known) { return known.second.label == label; });
  };
  std::string label = base;
  for (unsigned number = 2; !is_free(label); ++number) label = base + '#' + std::to_string(number);
  return label;
}

}  // namespace udppump::metrics
