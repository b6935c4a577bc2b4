#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bench {

/// The path of a program: in PATH, or where system programs are, which is not in everybody's PATH.
std::optional<std::string> find_program(std::string_view name);

/// A program that was started, with all processes that descend from it. It gets a process group; what stays in that
/// does not survive the benchmark.
class program {
 public:
  /// `command` is the program's file and its arguments; what it prints goes to `output`.
  program(std::vector<std::string> command, std::filesystem::path output);
  /// Ends it: by SIGTERM, and what is then left after five seconds by SIGKILL.
  ~program();
  program(const program&) = delete;
  program& operator=(const program&) = delete;

  /// Waits for it to end by itself; the CPU time that it used. Throws std::runtime_error with what it printed, unless
  /// it ended with code 0.
  std::chrono::nanoseconds wait();
  bool has_ended() const;
  /// Of all its processes that live, since they began.
  std::chrono::nanoseconds cpu_time() const;
  std::string printed() const;

 private:
  std::filesystem::path output_;
  pid_t process_;
  bool ended_ = false;
};

}  // namespace bench
