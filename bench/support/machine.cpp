#include "support/machine.hpp"

#include <errno.h>  // program_invocation_short_name
#include <fmt/format.h>
#include <sys/utsname.h>

#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>

#include "support/system.hpp"

namespace bench {
namespace {

std::string first_line(const char* file) {
  std::ifstream in{file};
  std::string line;
  std::getline(in, line);
  return line.empty() ? "unknown" : line;
}

std::string processor_model() {
  std::ifstream in{"/proc/cpuinfo"};
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  }
  return "unknown processor";
}

/// The first three words of /proc/loadavg; the others change with every process.
std::string load_averages() {
  std::ifstream in{"/proc/loadavg"};
  std::string one, five, fifteen;
  return in >> one >> five >> fifteen ? fmt::format("{} {} {}", one, five, fifteen) : "unknown";
}

/// proc(5): the arguments, each ended by a zero byte.
bool has_argument(std::string_view wanted) {
  std::ifstream in{"/proc/self/cmdline"};
  for (std::string argument; std::getline(in, argument, '\0');) {
    if (argument == wanted) return true;
  }
  return false;
}

run_record& record() {
  static run_record printed;
  return printed;
}

}  // namespace

machine machine::here() {
  utsname kernel{};
  check_call(uname(&kernel), "uname");
  return {.processors = std::thread::hardware_concurrency(),
          .model = processor_model(),
          .kernel = fmt::format("{} {}", kernel.sysname, kernel.release),
          .receive_buffer_limit = first_line("/proc/sys/net/core/rmem_max"),
          .load = load_averages(),
          .build_type = UDPPUMP_BUILD_TYPE,
#ifdef __clang__
          .compiler = __VERSION__};
#else
          .compiler = "g++ " __VERSION__};
#endif
}

void print_heading(std::string_view title, std::string_view method) {
  const char* const revision = std::getenv("UDPPUMP_BENCH_REVISION");
  record() = {.benchmark = program_invocation_short_name,
              .title = std::string{title},
              .method = std::string{method},
              .quick = has_argument("--quick"),
              .revision = revision == nullptr ? "" : revision,
              .began = std::chrono::system_clock::now(),
              .measured_on = machine::here()};
  const auto& on = record().measured_on;
  fmt::print("{}\n{}\n\n", title, method);
  fmt::print("machine: {} processors ({}), {}, net.core.rmem_max {}, load {}\n", on.processors, on.model, on.kernel,
             on.receive_buffer_limit, on.load);
  fmt::print("build: {}, compiler {}\n", on.build_type, on.compiler);
}

void print_run(std::string_view sizes) {
  record().sizes.emplace_back(sizes);
  fmt::print("run: {}\n", sizes);
}

void print_left_out(std::string_view what, std::string_view reason) {
  record().left_out.push_back(fmt::format("{}: {}", what, reason));
  fmt::print("left out: {}\n", record().left_out.back());
}

const run_record& printed_so_far() { return record(); }

}  // namespace bench
