#include "pool/own_command.hpp"

#include <climits>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "sys/sys_file.hpp"

namespace udppump::detail {

namespace {

bool is_same_file(const std::string& path, const char* other) {
  struct stat a {};
  struct stat b {};
  return sys::status_of(path.c_str(), a) == 0 && sys::status_of(other, b) == 0 && a.st_dev == b.st_dev &&
         a.st_ino == b.st_ino;
}

}  // namespace

own_command own_command::look_up() {
  own_command own;
  std::ifstream line{"/proc/self/cmdline", std::ios::binary};
  const std::string all{std::istreambuf_iterator<char>{line}, {}};
  for (std::size_t at = 0; at < all.size();) {
    const std::size_t end = std::min(all.find('\0', at), all.size());
    own.arguments.push_back(all.substr(at, end - at));
    at = end + 1;
  }
  // As it was called, if that leads here: a link to the current release may lead to the next one later.
  if (!own.arguments.empty() && own.arguments[0].find('/') != std::string::npos) {
    std::error_code unknown;
    const std::string called = std::filesystem::absolute(own.arguments[0], unknown).string();
    if (!unknown && is_same_file(called, "/proc/self/exe")) own.path = called;
  }
  char path[PATH_MAX];
  const ssize_t size = own.path.empty() ? sys::read_link("/proc/self/exe", path, sizeof path) : -1;
  if (size > 0) own.path.assign(path, static_cast<std::size_t>(size));
  return own;
}

}  // namespace udppump::detail
