#pragma once

#include <string>

#include "load/run/load_run.hpp"

/// Runs as text for a person.
namespace udppump::load {

/// Latencies, counts, and what is wrong with them where something is.
std::string to_text(const load_result& result);
/// One line, without an end.
std::string to_text(const load_progress& progress);
/// Why a run does not measure its target; empty where it does. `limit`: the lag_share() that is bearable.
std::string invalidity(const load_result& result, double limit);

}  // namespace udppump::load
