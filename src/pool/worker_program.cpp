#include "udppump/worker_program.hpp"

#include <cstdlib>
#include <sstream>

#include "sys/failure.hpp"
#include "sys/sys_file.hpp"

namespace udppump {

namespace {

using detail::fail;

std::string found_in_path(const std::string& name) {
  const char* const path = std::getenv("PATH");
  std::istringstream folders{path != nullptr ? path : "/usr/local/bin:/usr/bin:/bin"};
  std::string not_executable;
  for (std::string folder; std::getline(folders, folder, ':');) {
    std::string candidate = (folder.empty() ? "." : folder) + "/" + name;
    struct stat about {};
    if (sys::status_of(candidate.c_str(), about) < 0 || !S_ISREG(about.st_mode)) continue;
    if (sys::may_execute(candidate.c_str()) == 0) return candidate;
    not_executable = candidate;
  }
  if (!not_executable.empty()) return not_executable;
  fail(ENOENT, "program \"" + name + "\" is in none of the folders of PATH; give its path");
}

}  // namespace

worker_program::worker_program(std::vector<std::string> command) : arguments_{std::move(command)} {
  if (arguments_.empty() || arguments_[0].empty()) fail(EINVAL, "no program is given; name it first");
  path_ = arguments_[0].find('/') != std::string::npos ? arguments_[0] : found_in_path(arguments_[0]);
  struct stat about {};
  if (const int told = sys::status_of(path_.c_str(), about); told < 0) {
    fail(told, "program \"" + path_ + "\" cannot be looked at", "check the path, and the permissions of its folders");
  }
  if (S_ISDIR(about.st_mode)) fail(EACCES, "program \"" + path_ + "\" is a directory; name a file in it");
  if (const int may = sys::may_execute(path_.c_str()); may < 0) {
    fail(may, "program \"" + path_ + "\" is not executable", "chmod +x it, or name its interpreter before it");
  }
}

}  // namespace udppump
