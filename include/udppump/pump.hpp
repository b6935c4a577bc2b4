#pragma once

#include <cstddef>
#include <memory>
#include <system_error>

#include "udppump/datagram.hpp"
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

/// Feeds a socket's datagrams to a handler, one at a time. It takes a datagram only when the handler is free: until
/// then the datagram stays in the kernel's queue, and any other worker on the same socket can take it.
///
/// On any event loop: watch wake_fd() for reading and call dispatch() when it is readable. Without one: run(). A thread
/// that serves many sockets has them in a pump_group.
///
/// Thread: a pump belongs to the thread that first calls dispatch() or run(); it may be made on another. When that
/// thread ends, the pump is off its socket. Fork: make sockets before a fork, and pumps after it; see after_fork(). A
/// child that inherits a pump and lives on without exec() should destroy it: it has the parent's io_uring open, and if
/// the parent is killed, the kernel may still wake that one. The handler may call everything, also stop() and the
/// pump's destructor, but not run().
class UDPPUMP_EXPORT pump {
 public:
  /// `socket` must outlive the pump and stay what and where it is: not moved, not assigned to, not in a vector that
  /// grows. Close its descriptor only after stop(): an armed pump may learn of it only when it is next woken. Throws
  /// std::system_error if no waiter works here, std::invalid_argument for an option out of range.
  pump(datagram_socket& socket, handler on_datagram, pump_options options = {},
       waiter_kind waiter = waiter_kind::automatic);
  /// stop(), then frees. On the pump's thread, or when that thread has ended.
  ~pump();
  pump(const pump&) = delete;
  pump& operator=(const pump&) = delete;

  /// The socket given.
  datagram_socket& socket() const noexcept;

  /// Readable when dispatch() has something to do, from the start on. Do not read from it. The same until after_fork().
  int wake_fd() const noexcept;
  /// Tells whether every loop that watches wake_fd() does so edge-triggered (EPOLLET, libevent's EV_ET): then
  /// dispatch() leaves it readable, which saves a system call each time. The default is no. On the pump's thread.
  void edge_triggered(bool is) noexcept;
  /// Serves what is there, within the budget, then waits for more in the background. Never blocks, but for the handler.
  /// Returns an empty code while the pump serves or is stopped. Otherwise the code says why it cannot serve: then take
  /// wake_fd() off the loop. Throws only what the handler throws. Inside the handler, if that runs the program's loop,
  /// it does nothing but make wake_fd() quiet: what has come is served when the handler returns.
  [[nodiscard]] std::error_code dispatch();
  /// Serves until stop() or request_stop(), for programs without a loop of their own. Returns empty after a stop, or
  /// why the pump cannot go on. Throws only what the handler throws.
  [[nodiscard]] std::error_code run();

  /// Takes the pump off its socket: when it returns, no handler starts any more and this pump is in no wait queue of
  /// the kernel. Idempotent; not restartable. What waits in the socket stays there for others; if this pump had just
  /// been woken for it, they learn of it with the next arrival (request_stop() avoids that). On the pump's thread.
  void stop() noexcept;
  /// Asks the pump's thread to stop() it: run() returns soon, or the next dispatch() stops it, and wake_fd() becomes
  /// readable for that. Before it stops, the pump receives once more, for at most its budget: if the kernel has woken
  /// this pump for a datagram, it is served. Any thread, and signal handlers.
  void request_stop() noexcept;
  /// Whether it was stopped, or cannot go on. On the pump's thread.
  bool stopped() const noexcept;

  /// In the child of a fork: makes the pump usable there, with a waiter of its own and an empty count of tickets.
  /// wake_fd() changes. Throws as the constructor. Does nothing in the process that made the pump.
  void after_fork();

  waiter_report waiter() const;
  /// On the pump's thread.
  pump_stats stats() const;
  /// How many tickets (datagram::hold()) were not given back yet. Any thread.
  std::size_t in_flight() const noexcept;

 private:
  std::shared_ptr<detail::group_core> group_;
  std::shared_ptr<detail::member> member_;
};

}  // namespace udppump
