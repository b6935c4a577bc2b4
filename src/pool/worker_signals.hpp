#pragma once

#include <signal.h>

#include <cstddef>

#include "pool/board.hpp"

namespace udppump::detail {

/// Those that a parent blocks while it runs, and takes from a descriptor.
sigset_t parents_signals() noexcept;
sigset_t with_parents_signals(sigset_t mask) noexcept;

/// In a worker's process, with the parent's signals blocked: SIGTERM asks the worker on this page to stop, the others
/// are ignored. `shared` outlives the process's last SIGTERM.
void take_workers_signals(board& shared, std::size_t page);

/// While it lives, the signals that are the parent's are blocked on this thread, and SIGCHLD is not ignored.
class blocked_signals {
 public:
  /// Of signals that nobody here asked for and that would end the process: those that somebody may send by mistake
  /// (SIGUSR1, SIGALRM, SIGPIPE...), and those that a worker can have the kernel send for each datagram (SIGIO,
  /// real-time signals; fcntl(2), F_SETSIG) or when it lowers a limit of the parent (SIGXCPU, SIGXFSZ; prlimit(2)),
  /// unless the program handles or blocks them. They are blocked as well if asked for, but not where threads of the
  /// process are to have them.
  enum class strays : bool { left, blocked };

  /// `before` gets the mask that was, and outlives this object.
  blocked_signals(sigset_t& before, strays others);
  /// Takes those that are pending: they were the pool's.
  ~blocked_signals();
  blocked_signals(const blocked_signals&) = delete;
  blocked_signals& operator=(const blocked_signals&) = delete;

  const sigset_t& set() const noexcept { return set_; }

 private:
  sigset_t set_;
  const sigset_t& before_;
  struct sigaction on_child_ {};
};

}  // namespace udppump::detail
