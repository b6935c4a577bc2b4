#include <unistd.h>

#include <climits>
#include <fstream>
#include <iterator>

#include "failure.hpp"
#include "pool/running_worker.hpp"

namespace udppump::detail {

own_command own_command::look_up() {
  char path[PATH_MAX];
  const ssize_t size = ::readlink("/proc/self/exe", path, sizeof path);
  if (size < 0) fail(errno, "/proc/self/exe: executing this program anew takes /proc");
  own_command own{.path = {path, static_cast<std::size_t>(size)}, .arguments = {}};
  std::ifstream line{"/proc/self/cmdline", std::ios::binary};
  const std::string all{std::istreambuf_iterator<char>{line}, {}};
  for (std::size_t at = 0; at < all.size();) {
    const std::size_t end = std::min(all.find('\0', at), all.size());
    own.arguments.push_back(all.substr(at, end - at));
    at = end + 1;
  }
  return own;
}

}  // namespace udppump::detail
