#pragma once

#include <CLI/CLI.hpp>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace bench {

/// What every benchmark takes on its command line.
struct options {
  /// Odd, so that the median is one of them.
  std::size_t repetitions = 0;
  bool quick = false;
  bool list = false;
  std::string json;
  /// Names of contenders; empty: all.
  std::vector<std::string> only;

  bool wants(std::string_view contender) const;
};

/// Adds them to a program's own.
void add_options(CLI::App& app, options& chosen);
void add_repetitions(CLI::App& app, options& chosen, std::size_t repetitions);
/// After parsing: --quick means few repetitions, unless a number was asked for.
void settle(const CLI::App& app, options& chosen, std::size_t quick_repetitions);

}  // namespace bench
