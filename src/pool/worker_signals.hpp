#pragma once

#include <signal.h>

#include <cstddef>

#include "pool/board.hpp"

namespace udppump::detail {

/// Those that a parent blocks while it runs, and takes from a descriptor.
sigset_t parents_signals() noexcept;

/// In a worker's process, with the parent's signals blocked: SIGTERM asks the worker on this page to stop, the others
/// are ignored. `shared` outlives the process's last SIGTERM.
void take_workers_signals(board& shared, std::size_t page);

/// While it lives, the signals that are the parent's are blocked on this thread, and SIGCHLD is not ignored.
class blocked_signals {
 public:
  /// `before` gets the mask that was, and outlives this object.
  explicit blocked_signals(sigset_t& before);
  /// Takes those that are pending: they were the pool's.
  ~blocked_signals();
  blocked_signals(const blocked_signals&) = delete;
  blocked_signals& operator=(const blocked_signals&) = delete;

  const sigset_t& set() const noexcept { return set_; }

 private:
  const sigset_t set_;
  const sigset_t& before_;
  struct sigaction on_child_ {};
};

}  // namespace udppump::detail
