#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <system_error>

#include "udppump/datagram_socket.hpp"
#include "udppump/error.hpp"
#include "udppump/export.hpp"
#include "udppump/handler.hpp"
#include "udppump/pump_options.hpp"
#include "udppump/pump_stats.hpp"
#include "udppump/waiter.hpp"

namespace udppump {

namespace detail {
class group_core;
struct member;
}  // namespace detail

struct pump_group_options {
  waiter_kind waiter = waiter_kind::automatic;
  /// dispatch() returns to the loop after this much time, even if further pumps are ready; the next dispatch() begins
  /// with those.
  std::chrono::nanoseconds budget_time = std::chrono::milliseconds{5};
};

/// Holds a pump in a group: its pump serves from pump_group::add() until it is stopped or this is destroyed, which any
/// handler may do. Moves, does not copy. After a move, and if it was made without a pump, it holds none, and says that
/// it is stopped. Destroy it before the group and before its socket, on the group's thread or when that thread has
/// ended.
class UDPPUMP_EXPORT grouped_pump {
 public:
  grouped_pump() noexcept = default;
  grouped_pump(grouped_pump&&) noexcept = default;
  /// Stops the pump that it held.
  grouped_pump& operator=(grouped_pump&& other) noexcept;
  ~grouped_pump() { stop(); }

  /// As those of pump.
  void stop() noexcept;
  void request_stop() noexcept;
  bool stopped() const noexcept;
  pump_stats stats() const;
  std::size_t in_flight() const noexcept;

 private:
  friend class pump_group;
  grouped_pump(std::shared_ptr<detail::group_core> group, std::shared_ptr<detail::member> member) noexcept
      : group_{std::move(group)}, member_{std::move(member)} {}

  std::shared_ptr<detail::group_core> group_;
  std::shared_ptr<detail::member> member_;
};

/// Many pumps of one thread that share one waiter, one wake_fd() and one receive buffer: what a program with thousands
/// of sockets wants. Each socket costs its descriptor and a few hundred bytes.
///
/// One thread serves all pumps of a group in turn, so while a handler of one runs, the others wait. Threads, forks and
/// dispatch() follow the same rules as with a single pump.
class UDPPUMP_EXPORT pump_group {
 public:
  /// Throws std::system_error if no waiter works here (waiter.hpp).
  explicit pump_group(pump_group_options options = {});
  /// Stops the pumps that are left; their handles then say that they are stopped. May be called inside a handler.
  ~pump_group();
  pump_group(const pump_group&) = delete;
  pump_group& operator=(const pump_group&) = delete;

  /// Puts a pump on `socket`; a group has at most one pump for each socket. The socket must outlive the pump. Options
  /// and handler mean the same as with a single pump. Once the group is served, call this only on its thread; a handler
  /// may add a pump. Throws std::invalid_argument for an option out of range or a second pump on the socket.
  [[nodiscard]] grouped_pump add(datagram_socket& socket, handler on_datagram, pump_options options = {});

  /// As pump::wake_fd(), for all pumps of the group.
  int wake_fd() const noexcept;
  /// As pump::edge_triggered().
  void edge_triggered(bool is) noexcept;
  /// As pump::dispatch(). A pump that fails leaves the group by itself and tells its on_error; the code returned is
  /// about the group as a whole.
  [[nodiscard]] std::error_code dispatch();
  /// Serves until every pump has stopped; returns at once if there is none. Returns empty, or why a pump failed, the
  /// last one if several did.
  [[nodiscard]] std::error_code run();
  /// As pump::request_stop(), for all pumps of the group; those that bring answers (pump_role) stop last. Any thread,
  /// and signal handlers.
  void request_stop() noexcept;
  /// As pump::after_fork(), for all pumps of the group.
  void after_fork();

  waiter_report waiter() const;
  /// Pumps in the group that are not stopped.
  std::size_t size() const noexcept;

 private:
  friend class worker;
  explicit pump_group(std::shared_ptr<detail::group_core> core) noexcept;
  std::shared_ptr<detail::group_core> core_;
};

}  // namespace udppump
