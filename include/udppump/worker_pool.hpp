#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "udppump/datagram_socket.hpp"
#include "udppump/export.hpp"
#include "udppump/handler.hpp"
#include "udppump/pool_options.hpp"
#include "udppump/pump.hpp"
#include "udppump/worker.hpp"
#include "udppump/worker_program.hpp"

namespace udppump {

namespace detail {
class pool_core;
}

/// How a pool ended, as an exit code.
enum class pool_result : std::uint8_t {
  /// As it was told to, or because another took over.
  stopped = 0,
  /// In a worker that is a new execution of the program (pool_options::reexecute): its body threw.
  failed = 1,
  /// Workers could not be kept alive: they died in a row without serving, or a take-over failed.
  crash_loop = 4,
  /// As it was told to, but workers had to be killed: what they held is lost.
  killed = 5,
  /// In a worker that is a new execution of the program: it could not be set up.
  not_set_up = 125,
  /// The workers' program was there when it was looked up, and could not be executed, or was gone.
  not_executable = 126,
  not_found = 127,
};

/// N workers on the same sockets: started, watched, replaced when they die, reloaded and handed on without losing a
/// datagram, because the parent keeps the sockets, and with them the queue.
///
/// Making a pool binds its sockets, or takes them over from the pool before it, and drops privileges. Running it starts
/// the workers and returns when they have ended. The process that runs it is the parent; it touches no datagram.
///
/// Signals, to the parent: SIGTERM and SIGINT stop it, a second one kills those that have not ended; SIGHUP replaces
/// the workers one by one, each new one before its old one; SIGUSR2 starts this program's file anew, and the new
/// process takes the sockets over. SIGTTIN adds a worker, SIGTTOU stops one; a SIGTTIN with a value (sigqueue(3)) sets
/// their number. These signals and SIGCHLD are blocked on the thread that runs the pool, and, if
/// workers are processes, so are others that would end the process and that nobody handles, ignores or blocks: SIGUSR1,
/// SIGPIPE, SIGALRM, SIGVTALRM, SIGPROF, SIGIO, SIGPWR, SIGSTKFLT, SIGXCPU, SIGXFSZ, and real-time signals. They mean
/// nothing; the log says who sent them. A timer of the process itself (alarm(2)) ends it as ever. Workers have the
/// signals as the parent found them. A worker that gets SIGTERM finishes what it holds, and is then replaced.
///
/// Thread: one, which runs it; no other thread should exist when it forks. Linux.
class UDPPUMP_EXPORT worker_pool {
 public:
  /// Throws std::system_error or std::invalid_argument in one line with cause and cure; nothing is bound then.
  explicit worker_pool(pool_options options);
  ~worker_pool();
  worker_pool(const worker_pool&) = delete;
  worker_pool& operator=(const worker_pool&) = delete;

  /// Workers that feed every datagram to `on_datagram`. In the threads model all threads call it at once. Returns a
  /// pool_result as an int, for main() to return, as the other two do. All three throw std::system_error if the first
  /// workers cannot be started, and std::invalid_argument for what does not go with the pool's options.
  [[nodiscard]] int serve(handler on_datagram, const pump_options& options = {});
  /// Workers that run `body`, which makes what it needs and serves until it is told to stop.
  [[nodiscard]] int run(std::function<void(worker&)> body);
  /// Workers that are copies of a program in any language. It finds the first socket as descriptor 0 (inetd's "dgram
  /// wait"), and all from descriptor 3 on (LISTEN_FDS, LISTEN_PID, LISTEN_FDNAMES: sd_listen_fds(3)). Told to stop, it
  /// gets SIGTERM.
  [[nodiscard]] int run(const worker_program& program, const program_options& options = {});

  /// As SIGTERM and SIGHUP to the parent. Any thread, signal handlers, and the workers.
  void request_stop() noexcept;
  void request_reload() noexcept;
  /// So many workers from now on, from 1 to pool_options::max_workers: more are started, or those with the highest
  /// numbers stop as in a reload. A number that cannot be, as it would leave a lane without workers, is refused: the
  /// log says why, and all stays as it is. Of several requests the last one holds. A reload keeps the number; a pool
  /// that takes over begins with its own. Any thread, signal handlers, and the workers.
  void request_scale(std::size_t workers) noexcept;

  std::span<const datagram_socket> sockets() const noexcept;
  /// How many there are to be, now; in a worker, when it was started.
  std::size_t workers() const noexcept;

 private:
  std::shared_ptr<detail::pool_core> core_;
};

/// Cores this process may use: its affinity mask, and what the control group grants, rounded up. At least 1.
UDPPUMP_EXPORT std::size_t usable_cores();

}  // namespace udppump
