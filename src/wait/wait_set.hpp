#pragma once

#include <memory>
#include <system_error>
#include <vector>

#include "wait/waiter.hpp"

namespace udppump::detail {

/// Between two tries when the kernel refuses even to wait.
constexpr std::chrono::milliseconds refusal_pause{20};

/// What the thread waiter's thread sleeps in. add() and remove() may be called while another thread is in wait().
class wait_set {
 public:
  virtual ~wait_set() = default;
  virtual waiter_kind kind() const noexcept = 0;
  virtual std::error_code add(arming which, int fd) noexcept = 0;
  virtual void remove(arming which, int fd) noexcept = 0;
  /// Appends what is readable, which stays in the set; returns after timeout_ms (-1: never), or when interrupt() was
  /// called.
  virtual void wait(std::vector<firing>& readable, int timeout_ms) noexcept = 0;
  virtual void interrupt() noexcept = 0;
};

/// A thread that sleeps in `set` and notifies `signal`. Throws std::system_error if no thread can be made.
std::unique_ptr<waiter> make_thread_waiter(std::unique_ptr<wait_set> set, std::shared_ptr<wake_signal> signal);

}  // namespace udppump::detail
