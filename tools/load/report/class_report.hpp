#pragma once

#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>

#include "load/run/class_results.hpp"

/// Short and long requests apart.
namespace udppump::load {

/// A line for each class. The pointers must outlive the call.
struct class_row {
  /// Empty if it is the only one.
  std::string name;
  const class_results* classes;
  /// Of the ideal queue on the same requests; nullptr: it is that itself, or there is none.
  const class_results* ideal = nullptr;
};

/// Latencies and slowdowns (latency over own service time) of the short requests by each name, then of the long ones,
/// then of all; and below, which percentiles rest on too few of them.
std::string to_text(std::span<const class_row> rows);
/// "short", "long" and "all", each with its latency and its slowdown.
nlohmann::json to_json(const class_results& classes);

}  // namespace udppump::load
