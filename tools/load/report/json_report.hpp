#pragma once

#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>

#include "load/run/load_run.hpp"

/// Runs as JSON, complete: times are whole nanoseconds, what was never answered is null.
namespace udppump::load {

/// p50, p90, p99, p99.9, max, mean; then every cell that holds something as [first, last, count].
nlohmann::json to_json(const histogram& values, std::uint64_t missing = 0);
nlohmann::json to_json(const plan_options& plan);
/// The exact trace, a list for each field; at the same place in each list is the same request.
nlohmann::json to_json(std::span<const request_record> records);
/// Counts, histograms, and the records if they were kept.
nlohmann::json to_json(const load_result& result);

/// A document on one line, with an end. Bytes that are not UTF-8, in a path for example, become U+FFFD.
std::string to_line(const nlohmann::json& document);

}  // namespace udppump::load
