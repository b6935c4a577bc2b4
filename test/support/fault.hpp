#pragma once

#include <chrono>
#include <climits>
#include <functional>
#include <string>

namespace fault {

struct rule {
  /// The C function, such as "recvfrom". "getaddrinfo" never fails, but names its first address twice.
  const char* call;
  /// What it fails with instead of being made.
  int error = 0;
  /// So many calls fail, after so many went through.
  int times = INT_MAX;
  int after = 0;
  /// Only calls on this descriptor; -1: all.
  int fd = -1;
  /// sendmmsg alone: it does not fail, but sends at most so many datagrams, and says so.
  unsigned at_most = 0;
  /// The call does not fail, but this happens first, on its thread.
  std::function<void()> meanwhile = {};
};

/// While it lives, calls made by the library (or the test itself) fail as the rule says. Any thread.
class injection {
 public:
  explicit injection(const rule& what);
  ~injection();
  injection(const injection&) = delete;
  injection& operator=(const injection&) = delete;

  /// Calls that were made to fail so far.
  int hits() const;
  /// Calls seen that the rule could apply to, failed or not.
  int seen() const;

 private:
  int id_;
};

/// While it lives, the wall clock is set forward by so much, or back, as the library sees it: when it reads the clock,
/// and in the kernel's stamps of what arrives from now on. One at a time.
class wall_clock_step {
 public:
  explicit wall_clock_step(std::chrono::nanoseconds by);
  ~wall_clock_step();
  wall_clock_step(const wall_clock_step&) = delete;
  wall_clock_step& operator=(const wall_clock_step&) = delete;
};

}  // namespace fault
