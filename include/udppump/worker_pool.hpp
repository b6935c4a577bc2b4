#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "udppump/datagram_socket.hpp"
#include "udppump/export.hpp"
#include "udppump/pump.hpp"
#include "udppump/worker.hpp"
#include "udppump/worker_program.hpp"

namespace udppump {

namespace detail {
class pool_core;
}

/// What a worker is. Processes keep each other's crashes apart; threads share the program's memory.
enum class worker_model : std::uint8_t { processes, threads };

/// Something the pool has to tell: a worker died, a reload began. One line for people, fields for machines.
struct pool_event {
  /// As syslog numbers them (syslog(3)).
  enum class level : std::uint8_t { error = 3, warning = 4, notice = 5, info = 6 };
  level severity = level::info;
  /// Which kind of event, such as "worker-died": stable, in lower case.
  std::string_view name;
  /// For people: one line, which says all that the fields do.
  std::string text;
  std::vector<std::pair<std::string_view, std::string>> fields = {};
};

/// Whom the pool becomes once its sockets are bound; takes root.
struct privileges {
  /// Name or number; empty: stays who it is.
  std::string user = {};
  /// Name or number; empty: the user's own group.
  std::string group = {};
  /// Supplementary groups, names or numbers; nothing: those the user is a member of.
  std::optional<std::vector<std::string>> groups = {};
  /// PR_SET_NO_NEW_PRIVS: no program that a worker starts can gain any (prctl(2)).
  bool no_new_privileges = false;
};

/// How workers that die are replaced.
struct restart_policy {
  /// A worker that lived so long, or finished so many datagrams, was well: it is replaced at once, but for first_delay
  /// between two starts.
  std::chrono::milliseconds healthy_after = std::chrono::seconds{1};
  std::uint64_t healthy_after_datagrams = 100;
  /// After shorter lives: the first wait, doubled with each further one in a row, up to the longest.
  std::chrono::milliseconds first_delay = std::chrono::milliseconds{20};
  std::chrono::milliseconds longest_delay = std::chrono::seconds{5};
  /// A worker that died so many times in a row before it was well and without having served one datagram ends the pool.
  unsigned crash_limit = 8;
};

/// Crash-safe hand-over: a worker's datagram lies in memory that outlives the worker. When it dies in the handler, the
/// datagram is given to another. So a datagram is handled at least once, and again where a worker died after the answer
/// and before its handler returned. Only while the handler runs: for what a ticket holds, nothing is kept.
struct redelivery {
  /// A datagram whose handler so many workers died in, after the first, is poisoned: counted and dropped.
  unsigned most = 2;
  /// Poisoned datagrams are appended to this file, a line each: time, addresses, and the payload in hexadecimal. Empty:
  /// they are only counted.
  std::string poison_file = {};
};

/// RLIMIT_... of each worker (setrlimit(2)); in the threads model of the whole process.
struct resource_limit {
  int resource = 0;
  std::uint64_t soft = 0;
  std::uint64_t hard = 0;
};

struct pool_options {
  /// Where to listen: written addresses as address::parse() reads them, each with an optional name before it for
  /// LISTEN_FDNAMES ("dns=:53"). What a service manager passed (sd_listen_fds(3)) comes first, and is enough.
  std::vector<std::string> bind = {};
  socket_options socket = {};
  /// 0: one for each core this process may use (usable_cores()). At most 4096.
  std::size_t workers = 0;
  worker_model model = worker_model::processes;
  waiter_kind waiter = waiter_kind::automatic;
  privileges become = {};
  restart_policy restart = {};
  std::optional<redelivery> redeliver = {};
  /// Largest payload in bytes that a worker's pumps can have with redeliver, which needs so much memory for each
  /// worker.
  std::size_t redeliver_limit = 65'535;

  /// Told to stop, workers finish what they hold; after this long they are killed. A thread cannot be: run() then
  /// returns pool_result::killed while it still runs, and the process should end without waiting for it.
  std::chrono::milliseconds stop_timeout = std::chrono::seconds{10};
  /// A new worker that serves nothing for so long after its start is given up.
  std::chrono::milliseconds start_timeout = std::chrono::seconds{30};
  /// Workers are new executions of this program's file rather than forks, so that a reload has new code: each comes by
  /// main() to the same pool, which makes it a worker there. Processes only.
  bool reexecute = false;
  /// Files that start a reload when they are written or replaced.
  std::vector<std::string> reload_on_change = {};
  /// A Unix socket's path: a second start with the same path takes the sockets over from the first, which then ends.
  /// Empty: only SIGUSR2 does that.
  std::string take_over = {};

  /// Worker i on the i-th of the cores this process may use.
  bool pin = false;
  /// Nice level of the workers, -20 to 19.
  std::optional<int> nice = {};
  std::vector<resource_limit> limits = {};

  /// Called in the parent, on the thread of run(). Without it, events go to stderr as "udppump: TEXT".
  std::function<void(const pool_event&)> log = {};
};

/// What a pool ends with.
enum class pool_result : std::uint8_t {
  /// As it was told to, or because another took over.
  stopped = 0,
  /// Workers could not be kept alive: a crash loop, or none could be started.
  crash_loop = 4,
  /// As it was told to, but workers had to be killed: what they held is lost.
  killed = 5,
};

/// N workers on the same sockets: started, watched, replaced when they die, reloaded and handed on without losing a
/// datagram, because the parent keeps the sockets, and with them the queue.
///
/// Making a pool binds its sockets, or takes them over from the pool before it, and drops privileges. Running it starts
/// the workers and returns when they have ended. The process that runs it is the parent; it touches no datagram.
///
/// Signals, to the parent: SIGTERM and SIGINT stop it; SIGHUP replaces the workers one by one, each new one before its
/// old one; SIGUSR2 starts this program's file anew, which takes the sockets over. They, and SIGCHLD, are blocked while
/// it runs, on its thread. SIGTERM to a worker has that one finish what it holds; it is then replaced.
///
/// Thread: one, which runs it; no other thread should exist when it forks. Linux.
class UDPPUMP_EXPORT worker_pool {
 public:
  /// Throws std::system_error or std::invalid_argument in one line with cause and cure; nothing is bound then.
  explicit worker_pool(pool_options options);
  ~worker_pool();
  worker_pool(const worker_pool&) = delete;
  worker_pool& operator=(const worker_pool&) = delete;

  /// Workers that feed every datagram to `on_datagram`. In the threads model it is called by all threads at once.
  /// Returns a pool_result, for main() to return. Throws std::system_error where the first workers cannot be started.
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

  std::span<const datagram_socket> sockets() const noexcept;
  std::size_t workers() const noexcept;

 private:
  std::shared_ptr<detail::pool_core> core_;
};

/// Cores this process may use: its affinity mask, and what the control group grants, rounded up. At least 1.
UDPPUMP_EXPORT std::size_t usable_cores();

}  // namespace udppump
