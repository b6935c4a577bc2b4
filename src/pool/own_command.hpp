#pragma once

#include <string>
#include <vector>

namespace udppump::detail {

/// The path of this program's file, and its command line, as they were when the pool was made; empty without /proc.
struct own_command {
  std::string path;
  std::vector<std::string> arguments;
  static own_command look_up();
};

}  // namespace udppump::detail
