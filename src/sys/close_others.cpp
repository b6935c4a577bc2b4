#include "sys/close_others.hpp"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <limits>
#include <string>

#include "sys/failure.hpp"
#include "sys/sys_process.hpp"

namespace udppump::detail {

namespace {

constexpr int first_that_may_be_closed = 3;

/// False if the kernel does not have it.
bool close_gaps(const std::vector<int>& kept) {
  auto from = static_cast<unsigned>(first_that_may_be_closed);
  for (const int one : kept) {
    const auto here = static_cast<unsigned>(one);
    if (here > from && sys::close_range(from, here - 1) < 0) return false;
    from = here + 1;
  }
  return sys::close_range(from, std::numeric_limits<unsigned>::max()) >= 0;
}

std::vector<int> open_ones() {
  std::vector<int> all;
  std::error_code unknown;
  std::filesystem::directory_iterator list{"/proc/self/fd", unknown};
  if (unknown) {
    fail(unknown.value(), "closing descriptors that are not the worker's",
         "it requires close_range(2), of Linux 5.9, or /proc: mount it");
  }
  for (const auto& entry : list) {
    const std::string name = entry.path().filename().string();
    int fd = -1;
    std::from_chars(name.data(), name.data() + name.size(), fd);
    all.push_back(fd);
  }
  return all;
}

}  // namespace

void close_others(std::vector<int> kept) {
  std::erase_if(kept, [](int one) { return one < first_that_may_be_closed; });
  std::sort(kept.begin(), kept.end());
  kept.erase(std::unique(kept.begin(), kept.end()), kept.end());
  if (close_gaps(kept)) return;
  for (const int one : open_ones()) {
    if (one < first_that_may_be_closed || std::binary_search(kept.begin(), kept.end(), one)) continue;
    static_cast<void>(sys::close(one));  // that of the list is closed already
  }
}

}  // namespace udppump::detail
