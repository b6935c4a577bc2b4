#include "support/summary.hpp"

#include <algorithm>
#include <cmath>

namespace bench {

double percentile(std::vector<double> samples, double fraction) {
  if (samples.empty()) return 0;
  const double rank = std::ceil(fraction * static_cast<double>(samples.size()));
  const auto index = static_cast<std::ptrdiff_t>(std::max(rank, 1.0)) - 1;
  std::nth_element(samples.begin(), samples.begin() + index, samples.end());
  return samples[static_cast<std::size_t>(index)];
}

summary summarize(const std::vector<double>& samples) {
  return {.median = percentile(samples, 0.5), .lower = percentile(samples, 0.25), .upper = percentile(samples, 0.75)};
}

std::vector<double> ratios(const std::vector<double>& samples, const std::vector<double>& reference) {
  std::vector<double> result;
  for (std::size_t i = 0; i < std::min(samples.size(), reference.size()); ++i) {
    if (reference[i] > 0) result.push_back(samples[i] / reference[i]);
  }
  return result;
}

}  // namespace bench
