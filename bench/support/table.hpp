#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <variant>
#include <vector>

#include "support/summary.hpp"

namespace bench {

/// A table of results, for people on standard output and for programs as JSON.
class table {
 public:
  struct column {
    /// With its unit: "ns/datagram".
    std::string name;
    /// Digits after the point.
    int precision = 0;
  };
  /// Nothing (printed "-"), a figure, or a figure with its quartiles.
  using cell = std::variant<std::monostate, double, summary>;

  table(std::string title, std::vector<column> columns) : title_{std::move(title)}, columns_{std::move(columns)} {}

  bool empty() const noexcept { return rows_.empty(); }
  void add(std::string name, std::vector<cell> cells) { rows_.push_back({std::move(name), std::move(cells)}); }

  void print() const;
  /// {"title": ..., "columns": [{"name": ..., "precision": 0}, ...], "rows": [{"name": ..., "cells": [...]}, ...]}; a
  /// cell is null, a figure, or {"median": ..., "lower": ..., "upper": ...}.
  nlohmann::ordered_json to_json() const;

 private:
  struct row {
    std::string name;
    std::vector<cell> cells;
  };
  std::string title_;
  std::vector<column> columns_;
  std::vector<row> rows_;
};

/// The samples' summary; nothing if there are none.
table::cell summary_cell(const std::vector<double>& samples);

/// Writes to `file` what was printed: the heading, the sizes of the run, the tables. Does nothing if `file` is
/// empty. Throws std::system_error. bench/report makes pages of it.
void write_json(const std::string& file, const std::vector<table>& tables);

}  // namespace bench
