#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <system_error>

#include "udppump/export.hpp"
#include "udppump/waiter.hpp"

namespace udppump {

namespace detail {
class group_core;
}

struct pump_group_options {
  waiter_kind waiter = waiter_kind::automatic;
  /// A dispatch gives the loop its turn back after this much time, even if further pumps are ready; they come first in
  /// the next one.
  std::chrono::nanoseconds budget_time = std::chrono::milliseconds{5};
};

/// Many pumps of one thread that share one waiter, one wake_fd() and one receive buffer: what a program with thousands
/// of sockets wants. Each socket costs its descriptor and a few hundred bytes.
///
/// One thread serves all pumps of a group in turn, so while a handler of one runs, the others wait. Threads, forks and
/// dispatch() follow the same rules as with a single pump.
class UDPPUMP_EXPORT pump_group {
 public:
  /// Throws std::system_error where no waiter can be had.
  explicit pump_group(pump_group_options options = {});
  /// The pumps of the group must be gone.
  ~pump_group();
  pump_group(const pump_group&) = delete;
  pump_group& operator=(const pump_group&) = delete;

  /// As pump::wake_fd(), for all pumps of the group.
  int wake_fd() const noexcept;
  /// As pump::dispatch(). A pump that fails leaves the group by itself and tells its on_error; the code returned is
  /// about the group as a whole.
  std::error_code dispatch();
  /// Serves until every pump has stopped; at once where there is none. Returns empty, or why a pump failed, the last
  /// one where several did.
  std::error_code run();
  /// As pump::request_stop(), for all pumps of the group. Any thread, and signal handlers.
  void request_stop() noexcept;
  /// As pump::after_fork(), for all pumps of the group.
  void after_fork();

  waiter_report waiter() const;
  /// Pumps in the group that are not stopped.
  std::size_t size() const noexcept;

 private:
  friend class pump;
  friend class worker;
  explicit pump_group(std::shared_ptr<detail::group_core> core) noexcept;
  std::shared_ptr<detail::group_core> core_;
};

}  // namespace udppump
