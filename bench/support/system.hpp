#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "load/plan/clock.hpp"
#include "load/run/system.hpp"
#include "udppump/waiter.hpp"

namespace bench {

using std::chrono::nanoseconds;

using udppump::load::check_call;

/// Time on the wall, from CLOCK_MONOTONIC.
inline nanoseconds wall_time() { return udppump::load::monotonic_now(); }
/// CPU time used by this process, all its threads included.
nanoseconds cpu_time();
/// The same of another process of this user.
nanoseconds cpu_time(pid_t process);

/// Binds this thread, and the threads and processes it makes later, to one of the processors it may use; the number.
int pin_to_one_processor();
/// The same for a given one.
void pin_to(int processor);
/// Those that this process may use; two halves of a measurement are pinned to them.
std::vector<int> usable_processors();
/// Makes this thread, and the threads and processes it makes later, SCHED_FIFO ones, which everything ordinary makes
/// way for; false if that is not allowed.
bool take_realtime();
/// Raises the soft limit of descriptors to the hard one, and returns it.
std::size_t raise_descriptor_limit();
/// Ends the process, with a message, unless called again before the time is over: a benchmark must not hang.
void give_up_after(std::chrono::seconds limit);

/// Why this machine cannot have a waiter; nothing if it can.
std::optional<std::string> why_unavailable(udppump::waiter_kind kind);

/// Owns a descriptor.
class descriptor {
 public:
  explicit descriptor(int fd) noexcept : fd_{fd} {}
  descriptor(descriptor&& other) noexcept : fd_{std::exchange(other.fd_, -1)} {}
  descriptor& operator=(descriptor&&) = delete;
  ~descriptor();
  int fd() const noexcept { return fd_; }

 private:
  int fd_;
};

}  // namespace bench
