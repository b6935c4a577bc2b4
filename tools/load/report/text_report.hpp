#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>

#include "load/run/load_run.hpp"
#include "load/run/validity.hpp"

/// Runs as text for a person.
namespace udppump::load {

/// Latencies, counts, and what is wrong with them, if something is.
std::string to_text(const load_result& result);
/// One line, without an end.
std::string to_text(const load_progress& progress);
/// Why a run does not measure its target, and what to do; empty if it does.
std::string invalidity(const load_result& result, const validity_limits& limits);
/// Which of these percentiles rest on fewer than ten of so many requests, and what to do; empty if none does.
std::string few_requests(std::uint64_t requests, std::initializer_list<double> percentiles);
/// The DNS response codes of all answers, "NOERROR 810, NXDOMAIN 190"; empty if there are none.
std::string response_codes(const request_counts& counts);
/// What a person should know of answers that are neither NOERROR nor NXDOMAIN, or truncated; empty if all are well.
std::string doubtful_answers(const request_counts& counts);

}  // namespace udppump::load
