#include "sys/numbers_in.hpp"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <system_error>

namespace udppump::detail {

std::vector<int> numbers_in(const std::string& folder) {
  namespace fs = std::filesystem;
  std::vector<int> all;
  std::error_code refused;
  for (fs::directory_iterator at{folder, refused}, end; !refused && at != end; at.increment(refused)) {
    const std::string name = at->path().filename().string();
    int number = 0;
    const auto read = std::from_chars(name.data(), name.data() + name.size(), number);
    if (read.ec == std::errc{} && read.ptr == name.data() + name.size()) all.push_back(number);
  }
  std::sort(all.begin(), all.end());
  return all;
}

}  // namespace udppump::detail
