#pragma once

#include <cstddef>
#include <map>
#include <string_view>

#include "load/run/validity.hpp"

namespace bench {

using udppump::load::flaw;

/// The runs of a benchmark that asks for a load: how many count, and what was wrong with those that do not.
class counted_runs {
 public:
  /// Whether a run counts: flaw::none.
  bool add(flaw found) {
    ++runs_;
    if (found != flaw::none) ++left_out_[found];
    return found == flaw::none;
  }
  /// A run at a rate: counts if that was really offered, to within a tenth.
  bool add(double asked, double really) {
    return add(udppump::load::is_as_asked(asked, really, udppump::load::validity_limits{}.offered) ? flaw::none
                                                                                                   : flaw::other_rate);
  }
  void add(const counted_runs& others) {
    runs_ += others.runs_;
    for (const auto& [found, count] : others.left_out_) left_out_[found] += count;
  }

  std::size_t left_out() const {
    std::size_t sum = 0;
    for (const auto& [found, count] : left_out_) sum += count;
    return sum;
  }
  /// Prints what was left out and why, and that nothing is known if that is all.
  void tell(std::string_view of = "") const;

 private:
  std::size_t runs_ = 0;
  std::map<flaw, std::size_t> left_out_;
};

}  // namespace bench
