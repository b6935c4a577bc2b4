#include "pool/lane_plan.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>

#include "pool/counted.hpp"

namespace udppump::detail {

namespace {

[[noreturn]] void refuse(const lane& one, const std::string& why) {
  throw std::invalid_argument{"lanes: " + one.name + ": " + why};
}

void check(const lane& one, bool is_last) {
  if (one.max_age.count() < 0) refuse(one, "max_age is negative; give 0 for no limit");
  if (one.reserve != 0 && one.workers != 0) {
    refuse(one, "reserve and workers exclude each other: with workers, these serve it alone; omit one of them");
  }
  if (is_last && one.reserve != 0) refuse(one, "it is the last, so no lane is kept off its workers; omit reserve");
  if (is_last && one.workers != 0) refuse(one, "it is the last, which gets all workers that are left; omit workers");
}

}  // namespace

lane_plan::lane_plan(std::span<const lane> lanes, std::size_t workers) {
  std::size_t left = workers;
  for (const lane& one : lanes) {
    check(one, &one == &lanes.back());
    const std::size_t reserve = one.reserve == automatic_reserve ? 1 : one.reserve;
    if (left == 0 || std::max(reserve, one.workers) >= left) {
      refuse(one, "of " + counted(workers, "worker") + ' ' + std::to_string(left) + (left == 1 ? " is" : " are") +
                      " left for it and the lanes after it, which is too few; start more, or keep fewer");
    }
    kept_.push_back({reserve, one.workers});
    left -= reserve + one.workers;
  }
  if (lanes.empty()) return;
  lanes_of_.resize(workers);
  deal();
}

std::size_t lane_plan::left_for(std::size_t lane) const noexcept {
  std::size_t left = lanes_of_.size();
  for (std::size_t before = 0; before < lane; ++before) left -= kept_[before].reserve + kept_[before].own;
  return left;
}

void lane_plan::reserve(std::size_t lane, std::size_t workers) {
  kept_[lane].reserve = workers;
  deal();
}

bool lane_plan::scale(std::span<const lane> lanes, std::size_t workers) {
  lane_plan other{lanes, workers};
  for (std::size_t at = 0; at < lanes.size(); ++at) {
    if (lanes[at].reserve != automatic_reserve) continue;
    const std::size_t most = other.reserve_of(at) + other.left_for(lanes.size() - 1) - 1;
    other.reserve(at, std::min(reserve_of(at), most));
  }
  const std::size_t both = std::min(lanes_of_.size(), other.lanes_of_.size());
  const bool is_changed =
      !std::equal(lanes_of_.begin(), lanes_of_.begin() + static_cast<std::ptrdiff_t>(both), other.lanes_of_.begin());
  *this = std::move(other);
  return is_changed;
}

void lane_plan::deal() {
  const std::size_t workers = lanes_of_.size();
  std::ranges::fill(lanes_of_, 0);
  std::size_t kept = 0;  // for the lanes before
  for (std::size_t lane = 0; lane < kept_.size(); ++lane) {
    const std::uint32_t bit = std::uint32_t{1} << lane;
    const std::size_t own_end = kept + kept_[lane].own;
    for (std::size_t worker = kept; worker < own_end; ++worker) lanes_of_[worker] = bit;
    const std::size_t others = kept_[lane].own != 0 ? workers : kept;
    for (std::size_t worker = others; worker < workers; ++worker) lanes_of_[worker] |= bit;
    kept = own_end + kept_[lane].reserve;
  }
}

}  // namespace udppump::detail
