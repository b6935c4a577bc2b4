#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "load/run/histogram.hpp"

namespace udppump::load {

/// One line of a plot: how long the slowest of so many requests waited.
struct plot_curve {
  std::string name;
  /// Must outlive the call.
  const histogram* latency;
  /// Requests without an answer; the curve ends where they begin.
  std::uint64_t missing = 0;
  /// As gnuplot takes it, such as "#2a9d8f".
  std::string colour;
  bool dashed = false;
};

/// Sees, before a run is spent on it, that a plot can be drawn: the name ends in .svg or .png, the file can be written,
/// gnuplot is there. Throws std::invalid_argument or std::system_error with cause and cure. An empty path is no plot.
void expect_plottable(const std::string& path);
/// Draws latency (logarithmic) over percentiles (50%, 90%, 99%, 99.9%...), with gnuplot, on a transparent ground and in
/// colours that can be read on white and on black. Throws std::runtime_error if gnuplot fails.
void plot(const std::string& path, const std::string& title, std::span<const plot_curve> curves);

}  // namespace udppump::load
