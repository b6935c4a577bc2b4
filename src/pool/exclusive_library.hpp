#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "udppump/datagram_socket.hpp"
#include "udppump/worker_program.hpp"

namespace udppump::detail {

/// What is preloaded into programs, so that an epoll of their own wakes one worker for each datagram
/// (src/exclusive/exclusive.cpp), and whether it can be.
class exclusive_library {
 public:
  static constexpr char variable[] = "UDPPUMP_EXCLUSIVE=";

  /// Looks whether it works with this program; then it is on, unless the options have it off.
  exclusive_library(const worker_program& program, const program_options& options);

  bool is_on() const noexcept { return is_on_; }
  const std::string& path() const noexcept { return path_; }
  /// If it cannot work: why, and what helps, as a part of a sentence.
  const std::string& why_not() const noexcept { return why_not_; }

  /// Adds to a worker's environment what the library needs, if it is on. `passed`: the worker's sockets.
  void add_to(std::vector<std::string>& environment, const std::vector<int>& passed) const;

 private:
  std::string path_;
  std::string why_not_;
  bool is_on_ = false;
};

}  // namespace udppump::detail
