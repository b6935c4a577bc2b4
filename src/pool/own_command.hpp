#pragma once

#include <string>
#include <vector>

namespace udppump::detail {

/// The path of this program's file, and its command line, as they were when the pool was made; empty without /proc.
struct own_command {
  std::string path;
  std::vector<std::string> arguments;
  static own_command look_up();

  struct closed_file {
    std::string path;  // without symbolic links
    std::string why_not = {};
  };
  /// Whether this process's user, who is not root, gets at a new execution of the program from its first instruction
  /// on: he does not if he can neither read the file, so that the kernel closes the process (execve(2)), nor put
  /// another in its place. If he can, why, and what helps, as a sentence.
  closed_file look_whether_closed() const;
};

}  // namespace udppump::detail
