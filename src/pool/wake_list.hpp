#pragma once

#include <poll.h>

#include <chrono>
#include <vector>

namespace udppump::detail {

/// Why the parent woke.
struct wake_reasons {
  bool signal = false;     // one of parents_signals()
  bool news = false;       // a worker, or who asks for a stop or a reload, notified the parent
  bool file = false;       // one of pool_options::reload_on_change
  bool take_over = false;  // a predecessor or a successor says something
  bool ready = false;      // a program says that it serves
  bool output = false;     // a program has written to stderr
  bool metrics = false;    // the process that tells Prometheus says something
  bool arrival = false;    // a datagram
  bool visitor = false;    // somebody wants to look (status_door)
  int error = 0;           // -errno: it could not be waited for, so each of them may be
};

/// The descriptors that the parent sleeps on, each with its reason.
class wake_list {
 public:
  using clock = std::chrono::steady_clock;

  void watch(int fd, bool wake_reasons::*reason);
  /// Until one is readable, or until then; a moment if that cannot be waited for.
  wake_reasons wait(clock::time_point until);
  /// For poll(2): 0 if `until` has come, -1 if it never does; after a minute the parent looks whatever it is.
  static int poll_timeout(clock::time_point until, clock::time_point now) noexcept;

 private:
  std::vector<pollfd> set_;
  std::vector<bool wake_reasons::*> reasons_;
};

}  // namespace udppump::detail
