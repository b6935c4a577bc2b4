#pragma once

#include <fmt/format.h>

#include <compare>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "support/left_out.hpp"
#include "support/peer_workers.hpp"

namespace bench {

/// What a table is about.
struct setting {
  std::string times;
  std::size_t workers;
  std::uint32_t flows;

  auto operator<=>(const setting&) const = default;
  std::string name() const { return fmt::format("{}, k={}, {} flows", times, workers, flows); }
};

struct cell {
  setting where;
  unsigned load;  // percent

  auto operator<=>(const cell&) const = default;
  /// Measured with all contenders, and told in full.
  bool is_base() const {
    return where.workers == 8 && where.flows == 64 && where.times != "constant" && (load == 70 || load == 90);
  }
};

/// Milliseconds.
struct figures {
  double p50, p99, p999, ideal_p50, ideal_p99, ideal_p999;
  double switches, goodput;
};

struct contender {
  std::string name;
  bench::peer peer;
  /// In all cells, not only in the base ones.
  bool everywhere;
  /// By repetition; valid runs only.
  std::map<cell, std::map<std::size_t, figures>> results = {};
  std::map<cell, counted_runs> runs = {};
};

extern const std::vector<std::string> distributions;
extern const std::vector<unsigned> loads;

/// Each of them, at each number of workers, of flows, and load.
std::vector<cell> whole_grid();

/// One thing at a time differs from 8 workers, 64 flows, exponential times at 70 and 90%.
bool in_cross_section(const cell& each);

}  // namespace bench
