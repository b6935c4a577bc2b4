#pragma once

#include <signal.h>
#include <sys/types.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pool/board.hpp"
#include "pool/service_manager.hpp"
#include "udppump/worker_pool.hpp"

namespace udppump::detail {

/// Exit statuses of workers that did not get as far as their work; above what programs use, as env(1) has it.
constexpr int status_no_setup = 125, status_not_executable = 126, status_not_found = 127;

/// How a worker ended.
struct worker_end {
  bool by_signal = false;
  /// The signal's number, or the exit status.
  int code = 0;
  /// What it said last; may be empty.
  std::string words = {};
  /// It could not even be made what it was to be: trying again will not help.
  bool hopeless = false;
};

/// A worker that was started. Ends with this object at the latest where it is a process.
class running_worker {
 public:
  virtual ~running_worker() = default;
  /// How it ended; nothing while it runs. Once.
  virtual std::optional<worker_end> ended() = 0;
  virtual void ask_to_stop() noexcept = 0;
  /// False where that cannot be done.
  virtual bool kill() noexcept = 0;
};

/// What a worker is started as.
struct assignment {
  std::size_t number;
  std::size_t page;
};

/// Starts workers of one kind.
class launcher {
 public:
  virtual ~launcher() = default;
  /// Throws std::system_error.
  virtual std::unique_ptr<running_worker> start(const assignment& what) = 0;
  /// Whether its workers keep their pages, and so say when they serve and what they do.
  virtual bool keeps_pages() const noexcept = 0;
};

/// The path of this program's file, and its command line, as they were when the pool was made; empty without /proc.
struct own_command {
  std::string path;
  std::vector<std::string> arguments;
  static own_command look_up();
};

/// What every kind of worker needs of its pool; all outlive the launcher.
struct launch_context {
  const pool_options& options;
  board* shared;
  std::vector<datagram_socket>& sockets;
  const std::vector<std::string>& names;  // of the sockets
  /// The parent's own descriptors, which no worker should have.
  std::vector<int> parents_own = {};
  /// As it was before the parent blocked its signals.
  sigset_t signal_mask = {};
};

using worker_body = std::function<void(worker&)>;

/// Forks of this process that run `body`.
std::unique_ptr<launcher> make_fork_launcher(const launch_context& context, worker_body body);
/// Threads of this process that run `body`.
std::unique_ptr<launcher> make_thread_launcher(const launch_context& context, worker_body body);
/// Executions of a program that knows nothing of this.
std::unique_ptr<launcher> make_program_launcher(const launch_context& context, const worker_program& program);
/// Executions of this program's own file, which find their inheritance.
std::unique_ptr<launcher> make_self_launcher(const launch_context& context, const own_command& command);

/// What a self launcher left for this execution: which worker of which pool it is.
struct inheritance {
  pid_t parent;
  std::size_t page;
  descriptor memory, parent_signal, page_signal;
  std::vector<passed_socket> sockets;
  /// Nothing where this process was started otherwise. Throws std::system_error where it was left something unusable.
  static std::optional<inheritance> take();
};

/// Runs `body` as the worker with that page, on the calling thread, and says how it ended; for forks and threads.
worker_end run_body(const launch_context& context, const assignment& what, const worker_body& body);
/// Those that a parent blocks while it runs, and takes from a descriptor.
sigset_t parents_signals() noexcept;
/// SIGTERM asks the worker on this page to stop; the signals that are the parent's are ignored. In a worker's process.
void take_workers_signals(board& shared, std::size_t page);
/// Puts `text` where the parent will find it.
void leave_last_words(worker_page& page, const std::string& text) noexcept;

}  // namespace udppump::detail
