#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

#include "load/run/paced_sender.hpp"
#include "support/table.hpp"

namespace bench {

/// Short requests among long ones: 0.5 ms and 50 ms.
struct mixes_options {
  /// Names of mixes, "90/10": so many in a hundred are short and long.
  std::vector<std::string> mixes = {};
  /// In percent.
  std::vector<unsigned> loads = {};
  std::vector<std::size_t> workers = {8, 32};
  std::size_t repetitions = 5;
  /// How long each run is measured; the warm-up, a quarter of it, comes before.
  std::chrono::milliseconds length{2000};
  udppump::load::realtime sender = udppump::load::realtime::automatic;
  /// Names of contenders; empty: all.
  std::vector<std::string> only = {};
};

/// Names of all mixes, and of all contenders.
const std::vector<std::string>& all_mixes();
const std::vector<std::string>& mixes_contenders();

/// Measures one queue, lanes and sharded sockets under each mix, beside the ideal queue and the ideal lanes: a table
/// for each mix, number of workers and load. Prints what was left out. The process must have one thread only.
std::vector<table> measure_mixes(const mixes_options& options);

}  // namespace bench
