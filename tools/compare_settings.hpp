#pragma once

#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include "load/run/comparison.hpp"

namespace udppump::tools {

/// The command line of `compare`.
struct compare_settings {
  load::comparison_options compared{
      .server = {.bind = address::parse("127.0.0.1:0"), .workers = 8},
      .run = {.plan = {.flows = 64}, .warmup = std::chrono::milliseconds{500}, .priority = load::realtime::automatic}};
  /// Empty: as short as this machine allows.
  std::optional<load::service_times> work;
  /// Empty: as long as usual.
  std::optional<load::nanoseconds> duration;
  std::vector<std::string> queues;
  /// Empty: as many as usual.
  std::optional<std::uint64_t> reserve;
  bool quiet = false;
  std::string json, plot;

  /// Where text goes: the report may have standard output for itself.
  std::FILE* text() const;
};

/// "70%": a share below 1. Throws std::invalid_argument.
double parse_load(const std::string& text);

/// Reads the queues, and chooses what follows from the others. Throws std::invalid_argument, with the option's name,
/// and std::system_error for files that cannot be written.
void settle(compare_settings& settings);

/// Throws if of a run too short nothing can be said; while the service time is not chosen yet, the shortest counts.
void expect_requests(const compare_settings& settings);

}  // namespace udppump::tools
