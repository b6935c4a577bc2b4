#pragma once

#include <optional>
#include <system_error>
#include <thread>

#include "sys/fork_mark.hpp"
#include "udppump/error.hpp"

namespace udppump::detail {

/// Decides whether a group may be served: by the process that made it, on the thread that served it first, and not from
/// inside a handler.
class entry_guard {
 public:
  /// Empty, or why dispatch() and run() cannot be entered now.
  std::error_code refusal() const noexcept {
    if (mark_.in_child()) return errc::made_before_fork;
    if (is_elsewhere()) return errc::wrong_thread;
    if (inside_) return errc::reentrant;
    return {};
  }
  /// Whether the calling thread is inside already, so in a handler.
  bool is_nested() const noexcept { return inside_ && !mark_.in_child() && !is_elsewhere(); }
  /// Whether another thread owns the group, or the one that did has ended.
  bool is_elsewhere() const noexcept { return owner_ && *owner_ != std::this_thread::get_id(); }
  /// Makes the calling thread the owner; whether it was not before.
  bool take() noexcept {
    if (owner_) return false;
    owner_ = std::this_thread::get_id();
    return true;
  }
  void enter() noexcept { inside_ = true; }
  void leave() noexcept { inside_ = false; }
  /// Nobody owns the group from now on: the next thread may get the same id.
  void thread_ended() noexcept { owner_ = std::thread::id{}; }

  const fork_mark& mark() const noexcept { return mark_; }
  /// In the child: any thread of this process may serve now, once.
  void after_fork() noexcept {
    mark_.renew();
    owner_.reset();
  }

 private:
  fork_mark mark_;
  std::optional<std::thread::id> owner_;
  bool inside_ = false;
};

}  // namespace udppump::detail
