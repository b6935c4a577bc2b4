#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

namespace bench {

/// What is measured on, and what was built.
struct machine {
  unsigned processors = 0;
  std::string model;
  /// Name and release.
  std::string kernel;
  /// net.core.rmem_max, as the kernel writes it.
  std::string receive_buffer_limit;
  /// Over one, five and fifteen minutes, before the benchmark.
  std::string load;
  /// CMake's name for it.
  std::string build_type;
  std::string compiler;

  static machine here();
};

/// What a program has printed about its run; write_json() gives the same to programs.
struct run_record {
  /// The program's name.
  std::string benchmark;
  std::string title, method;
  /// Whether --quick was among the program's arguments.
  bool quick = false;
  /// From the environment variable UDPPUMP_BENCH_REVISION; empty if that is not set.
  std::string revision;
  std::chrono::system_clock::time_point began;
  machine measured_on;
  std::vector<std::string> sizes = {}, left_out = {};
};

/// Prints what is measured and how, and what it is measured on: processors, kernel, buffer limit, load, build. A
/// program calls it once, before the others here.
void print_heading(std::string_view title, std::string_view method);
/// Prints "run: SIZES": repetitions, datagrams, processors, and what else decides over the figures.
void print_run(std::string_view sizes);
/// Prints "left out: WHAT: REASON", for what this machine cannot do.
void print_left_out(std::string_view what, std::string_view reason);

/// What this process has printed by the functions above; one, as standard output is one.
const run_record& printed_so_far();

}  // namespace bench
