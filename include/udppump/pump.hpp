#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <stdexcept>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

#include "udppump/datagram.hpp"
#include "udppump/datagram_socket.hpp"
#include "udppump/error.hpp"
#include "udppump/export.hpp"
#include "udppump/pump_group.hpp"
#include "udppump/waiter.hpp"

namespace udppump {

namespace detail {
struct member;
}

/// What is called with each datagram: anything callable as void(datagram&), owned, moved in, never copied. A
/// result would be lost, so none is allowed. Throws std::invalid_argument for an empty std::function or null pointer.
class handler {
 public:
  template <class Function>
  requires(!std::is_same_v<std::remove_cvref_t<Function>, handler> &&
           std::is_invocable_r_v<void, std::decay_t<Function>&, datagram&> &&
           std::is_void_v<std::invoke_result_t<std::decay_t<Function>&, datagram&>>)
      handler(Function&& function)  // NOLINT(google-explicit-constructor): a lambda is a handler
      : target_{new std::decay_t<Function>(std::forward<Function>(function)),
                [](void* target) { delete static_cast<std::decay_t<Function>*>(target); }},
        call_{[](void* target, datagram& received) {
          std::invoke(*static_cast<std::decay_t<Function>*>(target), received);
        }} {
    if constexpr (requires { *static_cast<std::decay_t<Function>*>(target_.get()) == nullptr; }) {
      if (*static_cast<std::decay_t<Function>*>(target_.get()) == nullptr) {
        throw std::invalid_argument{"pump: the handler is an empty function"};
      }
    }
  }

  void operator()(datagram& received) const { call_(target_.get(), received); }

 private:
  std::unique_ptr<void, void (*)(void*)> target_;
  void (*call_)(void*, datagram&);
};

/// What went wrong while receiving; goes to pump_options::on_error, never to the handler.
struct receive_error {
  enum class kind {
    /// The receiving call failed; the pump goes on.
    receive,
    /// An ICMP error (or another of the socket's error queue); `peer` is whom the failed datagram was meant for.
    icmp,
    /// The control data of a datagram did not fit (MSG_CTRUNC); its address or time may be missing. The datagram itself
    /// is delivered.
    control_truncated,
    /// The pump cannot go on, and will not call again: the descriptor was closed under it, the socket was shut down, or
    /// the pump was made before a fork.
    fatal,
  };
  kind what;
  std::error_code code;
  address peer;
};

struct pump_options {
  /// Must stay automatic for a pump in a group, which has the group's waiter.
  waiter_kind waiter = waiter_kind::automatic;
  /// Largest payload delivered whole, in bytes; longer ones are cut and say so. 65,535 is more than UDP can carry.
  std::size_t receive_limit = 65'535;
  /// A dispatch gives the loop its turn back after this many datagrams, at least 1...
  std::size_t budget_datagrams = 64;
  /// ...or after this much time, whatever comes first; checked after each datagram, or after each fourth as long as the
  /// handler takes less than ten microseconds. In a group it is the pump's turn.
  std::chrono::nanoseconds budget_time = std::chrono::milliseconds{1};
  /// For how long this pump leaves its socket alone when handlers are brief, less than some ten microseconds of late,
  /// and another worker on the same socket has just emptied the queue and waits: that one is done before this one would
  /// be awake. It then looks by itself; a datagram that the other cannot take meanwhile, because a handler is suddenly
  /// long, waits no longer than that. Workers hear of each other when they are threads, or were forked after the socket
  /// was made; others, and all where this is 0, always wait for the socket. At most a second.
  std::chrono::microseconds stand_by = std::chrono::milliseconds{2};
  /// While this many tickets are out, the pump takes no datagram and leaves them to other workers. 0: no limit.
  std::size_t max_in_flight = 0;
  /// Called on the pump's thread. Without it, errors are only counted in stats().
  std::function<void(const receive_error&)> on_error = {};
  /// Called with what a handler (or on_error) throws; the next datagram is then served. Without it, the exception
  /// leaves dispatch() or run(), which may be called again and go on with the next datagram.
  std::function<void(std::exception_ptr)> on_exception = {};
};

/// Counted since the pump was made.
struct pump_stats {
  /// Datagrams given to the handler, and their payload's bytes.
  std::uint64_t received = 0, bytes = 0;
  /// Datagrams that were longer than receive_limit; datagrams whose control data was cut.
  std::uint64_t truncated = 0, control_truncated = 0;
  /// Taken from the kernel by one read with others (receive_offload), then not handled because the handler said stop()
  /// or threw without on_exception.
  std::uint64_t discarded = 0;
  struct error_count {
    std::error_code code;
    std::uint64_t count;
  };
  /// Receive and ICMP errors by kind.
  std::vector<error_count> errors;
  /// Sends that failed, over the whole socket in this process.
  std::uint64_t send_errors = 0;
  /// Datagrams the kernel dropped at this socket since the pump was made: no room, or a bad checksum (SO_MEMINFO,
  /// Linux 4.12). The count is the socket's: every worker on it sees the same.
  std::uint64_t kernel_drops = 0;
  /// Times the waiter woke the pump; those of them that found nothing to receive; dispatches ended by the budget.
  std::uint64_t wakeups = 0, empty_wakeups = 0, budget_yields = 0;
  /// Times the pump left its socket to another worker (pump_options::stand_by).
  std::uint64_t stood_by = 0;
  /// Time spent in the handler: what a turn took less the cost of receiving, which is measured now and then. Right to a
  /// fraction of a microsecond a datagram.
  std::chrono::nanoseconds handler_time{0};
  /// Tickets out now.
  std::size_t in_flight = 0;
};

/// Feeds a socket's datagrams to a handler, one at a time, each taken only when the handler is free for it: what waits
/// stays in the kernel's queue, where any other worker on the same socket can take it.
///
/// On any event loop: watch wake_fd() for reading and call dispatch() when it is readable. Without one: run().
///
/// Thread: a pump belongs to the thread that first calls dispatch() or run(); it may be made on another, but joins a
/// group that is served already only on that group's thread. When that thread ends, the pump is off its socket. Fork:
/// sockets are made before a fork, pumps after it; see after_fork(). A child that inherits a pump and lives on without
/// exec() should destroy it: while the child has the ring, a parent that is killed stays in the kernel's wait queue.
/// Inside the handler everything is allowed, stop() and the pump's destructor included, but dispatch() and run().
class UDPPUMP_EXPORT pump {
 public:
  /// `socket` must outlive the pump and stay what and where it is: not moved, not assigned to, not in a vector that
  /// grows. Closing its descriptor is for after stop(): an armed pump may learn of it only when it is next woken.
  /// Throws std::system_error where no waiter can be had, std::invalid_argument for an option out of range.
  pump(datagram_socket& socket, handler on_datagram, pump_options options = {});
  /// The same inside a group, with which it shares thread, waiter and receive buffer. A group has one pump for a
  /// socket.
  pump(pump_group& group, datagram_socket& socket, handler on_datagram, pump_options options = {});
  /// stop(), then frees. On the pump's thread, or when that thread has ended.
  ~pump();
  pump(const pump&) = delete;
  pump& operator=(const pump&) = delete;

  /// The socket given.
  datagram_socket& socket() const noexcept;

  /// Readable when dispatch() has something to do, from the start on. Do not read from it. The same until after_fork();
  /// in a group it is the group's.
  int wake_fd() const noexcept;
  /// Serves what is there, within the budget, then waits for more in the background. Never blocks, but for the handler.
  /// Returns an empty code while the pump is in service or stopped, and otherwise why it cannot be: take wake_fd() off
  /// the loop then. In a group it is the group's. Throws only what the handler throws.
  std::error_code dispatch();
  /// Serves until stop() or request_stop(), for programs without a loop of their own. Returns empty after a stop, or
  /// why the pump cannot go on. In a group it is the group's. Throws only what the handler throws.
  std::error_code run();

  /// Takes the pump off its socket: when it returns, no handler starts any more and this pump is in no wait queue of
  /// the kernel. Idempotent; not restartable. What waits in the socket stays there for others; where this
  /// pump had just been woken for it, they learn of it with the next arrival (request_stop() avoids that). On the
  /// pump's thread.
  void stop() noexcept;
  /// Has the pump's thread stop() it: run() returns soon, or the next dispatch() does it, for which wake_fd() becomes
  /// readable. Before that the pump has one last turn of at most its budget, so that no datagram waits for a wake-up
  /// that this pump was given. Any thread, and signal handlers.
  void request_stop() noexcept;
  /// Whether it was stopped, or cannot go on. On the pump's thread.
  bool stopped() const noexcept;

  /// In the child of a fork: makes the pump usable there, with a waiter of its own and an empty count of tickets.
  /// wake_fd() changes. Throws as the constructor. Does nothing in the process that made the pump.
  void after_fork();

  waiter_report waiter() const;
  /// On the pump's thread.
  pump_stats stats() const;
  /// Tickets out. Any thread.
  std::size_t in_flight() const noexcept;

 private:
  std::shared_ptr<detail::group_core> group_;
  std::shared_ptr<detail::member> member_;
};

}  // namespace udppump
