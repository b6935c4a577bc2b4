#include "support/memory.hpp"

#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <iterator>
#include <sstream>
#include <string>
#include <string_view>

namespace bench {
namespace {

/// The sum of the named lines ("Slab:  123 kB") of a file, in bytes.
std::size_t sum_of(const char* file, std::initializer_list<std::string_view> names) {
  std::ifstream in{file};
  std::size_t kibibytes = 0;
  for (std::string line; std::getline(in, line);) {
    std::istringstream words{line};
    std::string name;
    std::size_t value = 0;
    if (!(words >> name >> value)) continue;
    for (const auto& wanted : names) kibibytes += name == wanted ? value : 0;
  }
  return kibibytes * 1024;
}

/// The size of all mappings of io_uring in /proc/self/maps ("7f00-7f01 rw-s ... anon_inode:[io_uring]").
std::size_t mapped_rings() {
  std::ifstream in{"/proc/self/maps"};
  std::size_t bytes = 0;
  for (std::string line; std::getline(in, line);) {
    if (line.find("anon_inode:[io_uring]") == std::string::npos) continue;
    const auto dash = line.find('-');
    bytes += std::stoull(line.substr(dash + 1), nullptr, 16) - std::stoull(line.substr(0, dash), nullptr, 16);
  }
  return bytes;
}

std::size_t entries(const char* directory) {
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator{directory}, {}));
}

}  // namespace

memory_use memory_use::now() {
  return {.anonymous = sum_of("/proc/self/smaps_rollup", {"Anonymous:"}),
          .rings = mapped_rings(),
          .kernel = sum_of("/proc/meminfo", {"Slab:", "KernelStack:", "PageTables:"}),
          .threads = entries("/proc/self/task"),
          .descriptors = entries("/proc/self/fd")};
}

}  // namespace bench
