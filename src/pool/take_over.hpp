#pragma once

#include <signal.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pool/own_command.hpp"
#include "pool/pool_log.hpp"
#include "pool/predecessor.hpp"
#include "pool/successor.hpp"
#include "udppump/descriptor.hpp"

namespace udppump::detail {

/// How this parent came to its sockets, and how another gets them from it.
class take_over {
 public:
  using clock = std::chrono::steady_clock;

  /// `own` is executed by begin(). `listener` may be empty.
  /// A successor that has not said that it serves after `patience` is given up.
  take_over(own_command own, descriptor listener, std::string path, std::optional<predecessor> before,
            std::chrono::milliseconds patience, const pool_log& log);
  /// Removes the socket's path if it is this pool's: neither handed on nor not yet taken over.
  ~take_over();
  take_over(const take_over&) = delete;
  take_over& operator=(const take_over&) = delete;

  /// All workers of this pool serve: those of the pool before it may go.
  void say_ready() noexcept;
  /// Why the pool before this one does not hand over after all; empty if nothing of the kind was said.
  std::string hear_predecessor();

  /// Executes this program anew, connected to this one. `mask` is the signal mask it should have.
  void begin(const sigset_t& mask);
  /// Descriptors to poll for reading; then look().
  std::vector<int> descriptors() const;
  /// The process that has taken over, whose workers serve; nothing while there is none.
  std::optional<pid_t> look(const handed_sockets& sockets);
  /// SIGCHLD: the execution of begin() may have ended.
  void reap();
  bool is_under_way() const noexcept { return after_ != nullptr; }
  /// No longer: who asks, or has asked, is turned away, and told why.
  void close(const std::string& why) noexcept;
  /// When look() is to be called although no descriptor is readable.
  clock::time_point wakes_at() const noexcept;

  int listener() const noexcept { return listener_.fd(); }

 private:
  [[noreturn]] void execute_own(int connection, const sigset_t& mask) const;
  void remove_path() noexcept;
  void accept();
  void give_up_late_one();

  const own_command own_;
  descriptor listener_;
  const std::string path_;
  std::optional<predecessor> before_;
  const pool_log& log_;
  std::unique_ptr<successor> after_;
  pid_t executed_ = 0;
  clock::time_point deadline_;                                 // of after_
  clock::time_point accepts_from_ = clock::time_point::min();  // after a refusal by the kernel
  const std::chrono::milliseconds patience_;
  bool owns_path_;
};

}  // namespace udppump::detail
