#include "load/run/spread.hpp"

#include <algorithm>
#include <limits>

namespace udppump::load {

spread spread::of(std::vector<double> values) {
  constexpr double nothing = std::numeric_limits<double>::quiet_NaN();
  if (values.empty()) return {nothing, nothing, nothing};
  std::ranges::sort(values);
  const double upper = values[values.size() / 2];
  const double lower = values[(values.size() - 1) / 2];
  return {values.front(), lower == upper ? upper : (lower + upper) / 2, values.back()};
}

}  // namespace udppump::load
