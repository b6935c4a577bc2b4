#include "load/run/knee_search.hpp"

#include <cmath>

namespace udppump::load {

knee find_knee(const knee_options& options, const std::function<verdict(double rate)>& measure) {
  knee found;
  const auto is_good = [&](double rate) {
    verdict seen = measure(rate);
    if (seen != verdict::good) seen = measure(rate);
    if (seen == verdict::good) {
      found.good = rate;
    } else {
      found.bad = rate;
      found.invalid = seen == verdict::invalid;
    }
    return seen == verdict::good;
  };
  double rate = options.first_rate;
  if (is_good(rate)) {
    while ((rate *= 2) <= options.highest_rate && is_good(rate)) continue;
  } else {
    while ((rate /= 2) >= options.lowest_rate && !is_good(rate)) continue;
  }
  if (found.good == 0 || found.bad == 0) return found;
  while (found.bad > found.good * options.precision) is_good(std::sqrt(found.good * found.bad));
  return found;
}

}  // namespace udppump::load
