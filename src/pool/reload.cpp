#include "pool/reload.hpp"

#include <algorithm>

namespace udppump::detail {

reload reload::of_one(std::size_t number) noexcept {
  reload one{number + 1, 1};
  one.begun_ = number;
  return one;
}

std::vector<std::size_t> reload::turns() {
  while (begun_ < workers_ && turns_.size() < width_) turns_.push_back({.number = begun_++});
  std::vector<std::size_t> numbers;
  for (const turn& one : turns_) numbers.push_back(one.number);
  return numbers;
}

void reload::end_at(std::size_t workers) noexcept {
  workers_ = std::min(workers_, workers);
  std::erase_if(turns_, [workers](const turn& one) { return one.number >= workers; });
}

reload::step reload::next(std::size_t number, const seen& now) {
  const auto its = std::find_if(turns_.begin(), turns_.end(), [&](const turn& one) { return one.number == number; });
  if (its == turns_.end()) return step::wait;
  if (!its->new_one_started && now.old_one_serves) {
    if (now.old_one_stops) return step::wait;  // of a reload that failed: three with one number are too many
    its->new_one_started = true;
    return step::start_new;
  }
  if (its->new_one_started) {
    // If the old one has died, the new one is tried all the same: its death says that the reload is bad.
    if (now.new_one_is_tried) return step::wait;
    if (now.old_one_serves) return step::stop_old;
    if (now.old_one_stops) return step::wait;
  }
  // Or nobody is there from before: who waits to be restarted will be new.
  turns_.erase(its);
  return step::go_on;
}

}  // namespace udppump::detail
