#pragma once

#include <cstddef>
#include <vector>

namespace bench {

/// What the repetitions of one measurement gave: their median and their quartiles.
struct summary {
  double median = 0;
  double lower = 0;
  double upper = 0;
};

/// The value below which `fraction` (0 to 1) of the samples lie, by the nearest rank; 0 if there is none.
double percentile(std::vector<double> samples, double fraction);

summary summarize(const std::vector<double>& samples);

/// Ratios taken repetition by repetition, so that what slows the machine for a while slows both sides of each.
std::vector<double> ratios(const std::vector<double>& samples, const std::vector<double>& reference);

}  // namespace bench
