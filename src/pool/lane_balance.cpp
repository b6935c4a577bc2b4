#include "pool/lane_balance.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numeric>
#include <string>
#include <utility>

#include "pool/counted.hpp"

namespace udppump::detail {

namespace {

constexpr std::chrono::seconds interval{1};
constexpr double weight = 0.2;  // of what is new: a change shows after some five seconds
constexpr double busy_if_kept = 0.6, busy_if_left = 0.85;
/// Fewer are kept only if that has been so for a while.
constexpr unsigned looks_until_less = 10;

std::string one_decimal(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f", value);
  return text;
}

}  // namespace

lane_balance::lane_balance(board& shared, std::span<const lane> lanes, lane_plan& plan, const pool_log& log)
    : shared_{shared},
      lanes_{lanes},
      plan_{plan},
      log_{log},
      counted_(lanes.size()),
      busy_(lanes.size()),
      looks_with_less_(lanes.size()) {
  const auto is_automatic = [](const lane& one) { return one.reserve == automatic_reserve; };
  if (std::ranges::none_of(lanes, is_automatic)) return;
  measured_at_ = clock::now();
  next_ = measured_at_ + interval;
}

std::size_t lane_balance::wanted(double own, double later, std::size_t workers) noexcept {
  const auto enough_for = [workers](double busy, double share) {
    return static_cast<std::size_t>(std::clamp(std::ceil(busy / share), 1.0, static_cast<double>(workers)));
  };
  const std::size_t most = workers - std::min(enough_for(later, busy_if_left), workers - 1);
  return std::min(enough_for(own, busy_if_kept), most);
}

/// What workers tell is a claim: a count that goes back, as that of one that died does, or is beyond what they can be
/// busy, changes nothing that is worse than another reserve.
void lane_balance::measure(clock::time_point now) {
  const double elapsed = std::chrono::duration<double, std::nano>{now - std::exchange(measured_at_, now)}.count();
  for (std::size_t lane = 0; lane < lanes_.size(); ++lane) {
    std::uint64_t sum = 0;
    for (std::size_t at = 0; at < shared_.pages_used(); ++at) {
      sum += shared_.page(at).counts.lanes[lane].handler_time.load(std::memory_order_relaxed);
    }
    const std::uint64_t before = std::exchange(counted_[lane], sum);
    if (sum < before) continue;
    const double most = static_cast<double>(plan_.left_for(0));
    busy_[lane] += weight * (std::min(static_cast<double>(sum - before) / elapsed, most) - busy_[lane]);
  }
}

void lane_balance::look(clock::time_point now) {
  next_ = now + interval;
  if (now <= measured_at_) return;
  measure(now);
  bool is_changed = false;
  for (std::size_t lane = 0; lane + 1 < lanes_.size(); ++lane) {
    if (lanes_[lane].reserve != automatic_reserve) continue;
    const double later = std::accumulate(busy_.begin() + static_cast<std::ptrdiff_t>(lane) + 1, busy_.end(), 0.0);
    const std::size_t before = plan_.reserve_of(lane);
    // Shared with the last lane: the lanes between keep theirs.
    const std::size_t shared = before + plan_.left_for(lanes_.size() - 1);
    const std::size_t better = wanted(busy_[lane], later, shared);
    looks_with_less_[lane] = better < before ? looks_with_less_[lane] + 1 : 0;
    if (better == before || (better < before && looks_with_less_[lane] < looks_until_less)) continue;
    looks_with_less_[lane] = 0;
    plan_.reserve(lane, better);
    is_changed = true;
    log_.notice("lane-reserve",
                "lane " + lanes_[lane].name + ": " + counted(better, "worker") + (better == 1 ? " is" : " are") +
                    " reserved now, " + std::to_string(before) + " before: its requests keep " +
                    one_decimal(busy_[lane]) + " busy, and those of later lanes " + one_decimal(later),
                {{"lane", lanes_[lane].name}, {"reserve", std::to_string(better)}});
  }
  if (is_changed) tell_workers();
}

void lane_balance::tell_workers() noexcept {
  for (std::size_t at = 0; at < shared_.pages_used(); ++at) {
    worker_page& page = shared_.page(at);
    if (page.state.load(std::memory_order_acquire) == page_state::free) continue;
    page.served_lanes.store(plan_.lanes_of(page.number.load(std::memory_order_relaxed)), std::memory_order_relaxed);
    page.looks.fetch_add(1, std::memory_order_release);
    shared_.notify(at);
  }
}

}  // namespace udppump::detail
