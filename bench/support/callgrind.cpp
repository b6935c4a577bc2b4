#include "support/callgrind.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "support/system.hpp"

namespace bench {
namespace {

/// Runs it, found on the PATH, without a word; whether it ended well.
bool succeeds(std::vector<std::string> command) {
  std::vector<char*> pointers;
  for (auto& each : command) pointers.push_back(each.data());
  pointers.push_back(nullptr);
  posix_spawn_file_actions_t silent;
  posix_spawn_file_actions_init(&silent);
  for (const int output : {STDOUT_FILENO, STDERR_FILENO}) {
    posix_spawn_file_actions_addopen(&silent, output, "/dev/null", O_WRONLY, 0);
  }
  pid_t child = 0;
  const int error = posix_spawnp(&child, pointers.front(), &silent, nullptr, pointers.data(), environ);
  posix_spawn_file_actions_destroy(&silent);
  if (error != 0) return false;
  int status = 0;
  check_call(waitpid(child, &status, 0), "waitpid");
  return status == 0;
}

}  // namespace

bool has_callgrind() { return succeeds({"valgrind", "--tool=callgrind", "--version"}); }

std::optional<std::uint64_t> instructions_of(const std::vector<std::string>& command, const std::string& toggle) {
  std::string file = std::filesystem::temp_directory_path() / "udppump-callgrind-XXXXXX";
  const descriptor made{check_call(mkstemp(file.data()), "mkstemp")};
  std::vector<std::string> all{"valgrind", "--tool=callgrind", "--toggle-collect=" + toggle,
                               "--callgrind-out-file=" + file};
  all.insert(all.end(), command.begin(), command.end());
  const bool ended_well = succeeds(all);
  std::optional<std::uint64_t> total;
  std::ifstream in{file};
  for (std::string line; ended_well && std::getline(in, line);) {
    if (line.starts_with("totals: ")) total = std::stoull(line.substr(8));
  }
  std::filesystem::remove(file);
  return total;
}

}  // namespace bench
