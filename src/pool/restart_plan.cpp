#include "pool/restart_plan.hpp"

#include <algorithm>

namespace udppump::detail {

constexpr std::chrono::minutes longest_pause{1};

std::optional<restart_plan::clock::time_point> restart_plan::after(const life& last) noexcept {
  const bool was_well = (last.began_to_serve && last.ended - last.started >= policy_->healthy_after) ||
                        last.served >= policy_->healthy_after_datagrams;
  short_lives_ = was_well ? 0 : short_lives_ + 1;
  unserved_lives_ = was_well || last.served != 0 ? 0 : unserved_lives_ + 1;
  if (last.hopeless) return {};
  if (was_well) return std::max<clock::time_point>(last.ended, last.started + policy_->first_delay);
  // A year, the longest of the pool's times, doubled 20 times is still a number of milliseconds.
  const auto delay = policy_->first_delay * (1u << std::min(short_lives_ - 1, 20u));
  if (!cannot_keep()) return last.ended + std::min(delay, policy_->longest_delay);
  const auto longer = policy_->longest_delay * (1u << std::min(unserved_lives_ - policy_->crash_limit, 20u));
  return last.ended + std::min(longer, std::max<std::chrono::milliseconds>(policy_->longest_delay, longest_pause));
}

}  // namespace udppump::detail
