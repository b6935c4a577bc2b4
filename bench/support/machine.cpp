#include "support/machine.hpp"

#include <fmt/format.h>
#include <sys/utsname.h>

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

}  // namespace

void print_heading(std::string_view title, std::string_view method) {
  utsname kernel{};
  check(uname(&kernel), "uname");
  fmt::print("{}\n{}\n\n", title, method);
  fmt::print("machine: {} processors ({}), {} {}, net.core.rmem_max {}, load {}\n", std::thread::hardware_concurrency(),
             processor_model(), kernel.sysname, kernel.release, first_line("/proc/sys/net/core/rmem_max"),
             first_line("/proc/loadavg"));
  fmt::print("build: {}, compiler {}\n", UDPPUMP_BUILD_TYPE, __VERSION__);
}

}  // namespace bench
