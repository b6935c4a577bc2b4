#pragma once

#include <sys/types.h>

#include <string>

namespace udppump::detail {

/// A process that speaks by a Unix socket, as the kernel knows it (unix(7)): not as it says.
struct peer {
  pid_t pid = 0;  // 0: not known, or not of this PID namespace
  uid_t user = static_cast<uid_t>(-1);

  /// Who connected to this socket; who had it listen, if this one connected to it, or is the one that listens
  /// (SO_PEERCRED). That process may have ended, and another may have the socket.
  static peer of(int fd) noexcept;
  /// Whether it is stopped (SIGSTOP) or a debugger holds it, as far as that can be known.
  bool is_stopped() const;
  /// "pid 4711", or what stands for it.
  std::string called() const;
};

/// Whether the process that peer::of(fd) names is still the one that was meant: it has not ended. True if the kernel
/// does not tell (before Linux 6.5).
bool peer_lives(int fd);

/// peer::of(fd) in words, for logs and errors: its id, its user and its program. The program is what the kernel has
/// executed, or, if this process may not know that, in quotation marks what the process calls itself.
std::string description_of_peer(int fd);

}  // namespace udppump::detail
