#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "pool/service_manager.hpp"
#include "sys/descriptor.hpp"

namespace udppump::detail {

// How a new parent takes the sockets over from an old one, over a SOCK_SEQPACKET Unix socket, in words:
//
//   new: "udppump 1 hello PID"
//   old: "udppump 1 sockets NAME..."   with the descriptors (SCM_RIGHTS), or "udppump 1 no WHY"
//   new: "udppump 1 ready"             its workers serve; the old one's now finish and end
//
// Until it hears "ready", the old parent goes on as before; if the connection breaks, for good. Both serve the same
// sockets meanwhile, which is what sockets shared by workers are for.

/// Sockets that a pool hands on at most: the kernel passes 253 in one message (SCM_MAX_FD, unix(7)).
constexpr std::size_t most_passed = 250;
/// The name of the Unix socket where successors connect, among those that are handed on.
constexpr char take_over_name[] = "@take-over";

/// The new parent's side. Made in the constructor of its pool.
class predecessor {
 public:
  /// Whoever serves at `path`; nothing where nobody does. Throws std::system_error where it does not hand over.
  static std::optional<predecessor> at(const std::string& path);
  /// By a descriptor inherited from it.
  explicit predecessor(descriptor connection);

  std::vector<passed_socket> take_sockets() { return std::move(sockets_); }
  /// The old workers may go.
  void say_ready() noexcept;
  /// Readable when hear() has something.
  int fd() const noexcept { return connection_.fd(); }
  /// Why the old parent does not hand over after all; empty where it says nothing, or is gone.
  std::string hear();

 private:
  descriptor connection_;
  std::vector<passed_socket> sockets_;
};

/// The old parent's side: one new parent that wants the sockets.
class successor {
 public:
  explicit successor(descriptor connection) noexcept : connection_{std::move(connection)} {}

  int fd() const noexcept { return connection_.fd(); }
  pid_t pid() const noexcept { return pid_; }

  enum class news { nothing, took_sockets, ready, gone };
  /// Reads what it says, and answers. `sockets` are this pool's.
  struct offered {
    int fd;
    std::string name;
  };
  news listen(const std::vector<offered>& sockets);
  /// Says why it does not get the sockets, or may not keep them.
  void refuse(const std::string& why) const noexcept;
  /// Whether its process may have the sockets: the same user, or root (SO_PEERCRED).
  bool is_trusted() const noexcept;

 private:
  descriptor connection_;
  pid_t pid_ = 0;
};

/// A Unix socket where successors connect. Throws std::system_error. `user` and `group` may connect.
descriptor listen_for_successors(const std::string& path, uid_t user, gid_t group);

}  // namespace udppump::detail
