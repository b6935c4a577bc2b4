#pragma once

#include <signal.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "descriptor.hpp"
#include "pool/pool_log.hpp"
#include "pool/running_worker.hpp"
#include "pool/take_over.hpp"

namespace udppump::detail {

/// How this parent came to its sockets, and how another gets them from it.
class succession {
 public:
  /// `own` is executed by begin(). `listener` may be empty.
  succession(own_command own, descriptor listener, std::string path, std::optional<predecessor> before,
             const pool_log& log);
  /// Removes the socket's path where nobody took over.
  ~succession();
  succession(const succession&) = delete;
  succession& operator=(const succession&) = delete;

  /// All workers of this pool serve: those of the pool before it may go.
  void say_ready() noexcept;

  /// Executes this program anew, connected to this one. `mask` is the signal mask it should have.
  void begin(const sigset_t& mask);
  /// Descriptors to poll for reading; then look().
  std::vector<int> descriptors() const;
  /// The process that has taken over, whose workers serve; nothing while there is none.
  std::optional<pid_t> look(const std::vector<successor::offered>& sockets);
  /// SIGCHLD: the execution of begin() may have ended.
  void reap();
  bool is_under_way() const noexcept { return after_ != nullptr; }
  /// No longer; who asks is turned away.
  void close() noexcept { listener_.reset(); }

  int listener() const noexcept { return listener_.fd(); }

 private:
  void accept();

  const own_command own_;
  descriptor listener_;
  const std::string path_;
  std::optional<predecessor> before_;
  const pool_log& log_;
  std::unique_ptr<successor> after_;
  pid_t executed_ = 0;
  bool handed_over_ = false;
};

}  // namespace udppump::detail
