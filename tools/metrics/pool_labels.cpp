#include "metrics/pool_labels.hpp"

#include <algorithm>
#include <cstddef>
#include <functional>
#include <utility>

namespace udppump::metrics {

namespace {

constexpr std::chrono::hours kept_for{1};
constexpr std::size_t most_former = 1'000;
constexpr pid_t nobody = 0;

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

std::vector<std::string> pool_labels::of(std::span<const pool_status> pools, clock::time_point now) {
  forget_ended(pools, now);
  forget_former(now);
  std::vector<const pool_status*> longest_first;
  for (const pool_status& each : pools) longest_first.push_back(&each);
  std::ranges::stable_sort(longest_first,
                           [](const auto* one, const auto* other) { return one->uptime > other->uptime; });
  for (const pool_status* const each : longest_first) {
    const auto found = known_.find(each->parent);
    const std::string base = base_of(*each);
    known_pool one{.label = found != known_.end() ? found->second.label : free_label(*each),
                   .base = base,
                   .uptime = each->uptime,
                   .user = each->user,
                   .sockets = sockets_of(*each)};
    former_.erase(one.label);
    known_.insert_or_assign(each->parent, std::move(one));
  }
  std::vector<std::string> labels;
  for (const pool_status& each : pools) labels.push_back(known_.at(each.parent).label);
  return labels;
}

void pool_labels::forget_ended(std::span<const pool_status> pools, clock::time_point now) {
  std::map<pid_t, const pool_status*> there;
  for (const pool_status& each : pools) there.emplace(each.parent, &each);
  std::vector<std::pair<pid_t, known_pool>> ended;
  std::erase_if(known_, [&](const auto& known) {
    const auto& [parent, one] = known;
    const auto found = there.find(parent);
    // One that is younger than at the last look is another, that has got its id.
    if (found != there.end() && found->second->uptime >= one.uptime && base_of(*found->second) == one.base) {
      return false;
    }
    ended.emplace_back(parent, one);
    return true;
  });
  // After several take-overs in a row, the last pool has the label of the first, which is given last.
  std::ranges::sort(ended, {}, [](const auto& each) { return each.second.uptime; });
  for (const auto& [parent, gone] : ended) {
    const auto heir = std::ranges::find_if(
        known_, [&gone = gone, this](const auto& known) { return has_taken_over(known.second, gone); });
    if (heir == known_.end()) {
      remember(gone, parent, now);
    } else {
      remember(heir->second, nobody, now);
      heir->second.label = gone.label;
    }
  }
}

/// Both tell which sockets they have, and as whom they run is told by the kernel.
bool pool_labels::has_taken_over(const known_pool& later, const known_pool& ended) const {
  return later.base == ended.base && later.user == ended.user && later.uptime < ended.uptime &&
         have_common(later.sockets, ended.sockets);
}

void pool_labels::remember(const known_pool& gone, pid_t parent, clock::time_point now) {
  former_.insert_or_assign(
      gone.label,
      former_pool{.since = now, .parent = parent, .uptime = gone.uptime, .user = gone.user, .base = gone.base});
}

/// Of too many, the user who has most of them loses the oldest: so nobody makes another's be forgotten.
void pool_labels::forget_former(clock::time_point now) {
  std::erase_if(former_, [now](const auto& each) { return now - each.second.since > kept_for; });
  if (former_.size() <= most_former) return;
  using entry = std::map<std::string, former_pool>::iterator;
  std::map<uid_t, std::vector<entry>> by_user;
  for (auto each = former_.begin(); each != former_.end(); ++each) by_user[each->second.user].push_back(each);
  for (auto& [user, labels] : by_user) {
    std::ranges::sort(labels, std::greater{}, [](entry each) { return each->second.since; });
  }
  while (former_.size() > most_former) {
    const auto most = std::ranges::max_element(by_user, {}, [](const auto& each) { return each.second.size(); });
    former_.erase(most->second.back());
    most->second.pop_back();
  }
}

bool pool_labels::is_free(const std::string& label, uid_t user) const {
  const auto former = former_.find(label);
  if (former != former_.end() && former->second.user != user) return false;
  return std::ranges::none_of(known_, [&label](const auto& known) { return known.second.label == label; });
}

std::string pool_labels::free_label(const pool_status& pool) const {
  const std::string base = base_of(pool);
  const auto same = std::ranges::find_if(former_, [&](const auto& each) {
    const former_pool& one = each.second;
    return one.parent == pool.parent && one.user == pool.user && one.base == base && one.uptime <= pool.uptime;
  });
  if (same != former_.end()) return same->first;
  std::string label = base;
  for (unsigned number = 2; !is_free(label, pool.user); ++number) label = base + '#' + std::to_string(number);
  return label;
}

}  // namespace udppump::metrics
