#pragma once

#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <type_traits>

#include "support/system.hpp"

namespace bench {

/// The result of measure(), run in a process of its own, with memory and descriptors that nothing else has used.
/// Throws std::runtime_error if it fails there; the process has then said why on standard error.
template <class Measure, class Result = std::invoke_result_t<Measure>>
requires std::is_trivially_copyable_v<Result> Result in_child(Measure measure) {
  std::array<int, 2> pipe_ends;
  check_call(pipe(pipe_ends.data()), "pipe");
  const descriptor from_child{pipe_ends[0]}, to_parent{pipe_ends[1]};
  std::fflush(stdout);  // else the child prints it once more
  const pid_t child = check_call(fork(), "fork");
  if (child == 0) {
    try {
      const Result result = measure();
      _exit(write(to_parent.fd(), &result, sizeof result) == sizeof result ? 0 : 1);
    } catch (const std::exception& error) {
      fmt::print(stderr, "measuring: {}\n", error.what());
      _exit(1);
    }
  }
  int status = 0;
  check_call(waitpid(child, &status, 0), "waitpid");
  Result result;
  if (status != 0 || read(from_child.fd(), &result, sizeof result) != sizeof result) {
    throw std::runtime_error{"a measuring process failed"};
  }
  return result;
}

}  // namespace bench
