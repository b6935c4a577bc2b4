#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "load/run/comparison.hpp"

/// A comparison as a person and as a program reads it. There must be at least one repetition in it.
namespace udppump::load {

/// What is going to be measured, and how, in a line or two.
std::string method_of(const comparison_options& options);
/// Side by side: medians, and below them the lowest and the highest of the repetitions.
std::string to_table(const comparison& compared);
/// One sentence that says what was seen, in numbers.
std::string to_sentence(const comparison& compared);
nlohmann::json to_json(const comparison& compared);
/// Latency over percentiles: the ideal and every queue, all repetitions together. See plot.hpp.
void plot(const std::string& path, const comparison& compared);

}  // namespace udppump::load
