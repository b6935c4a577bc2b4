#pragma once

#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>

#include "load/run/comparison.hpp"
#include "load/run/machine_look.hpp"

/// A comparison as a person and as a program reads it. There must be at least one repetition in it.
namespace udppump::load {

/// What is going to be measured, and how, in a line or two.
std::string method_of(const comparison_options& options);
/// Side by side: medians, and below them the lowest and the highest of the repetitions.
std::string to_table(const comparison& compared);
/// Short and long requests apart, all compared repetitions together, beside the ideal queue and if lanes were measured
/// the ideal lanes; empty if there is one class only.
std::string to_class_table(const comparison& compared);
/// What the 99th percentiles of short and of long requests were, in a sentence; empty if there is one class only.
std::string to_class_sentence(const comparison& compared);
/// One sentence that says what was seen, in numbers.
std::string to_sentence(const comparison& compared);
/// Why repetitions were left out: "in 2 requests left late, in 1 ..."; empty if none was.
std::string left_out(const comparison& compared);
/// Why a comparison that is not valid() is none, and what to do.
std::string invalidity(const comparison& compared);
nlohmann::json to_json(const comparison& compared);

/// One line.
std::string to_text(const machine_look& seen);
/// What load was really offered at each service time tried: "1.00 ms: 92%, 2.00 ms: 71%".
std::string to_text(std::span<const trial> trials, const comparison_options& options);
nlohmann::json to_json(const machine_look& seen);

/// Latency over percentiles: the ideal and every queue, all repetitions together. See plot.hpp.
void plot(const std::string& path, const comparison& compared);

}  // namespace udppump::load
