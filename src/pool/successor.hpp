#pragma once

#include <sys/types.h>

#include <string>

#include "pool/take_over_messages.hpp"

namespace udppump::detail {

/// A new parent that wants the sockets, as the old one sees it.
class successor {
 public:
  explicit successor(descriptor connection) noexcept : connection_{std::move(connection)} {}

  int fd() const noexcept { return connection_.fd(); }
  /// As it has said; 0 before.
  pid_t pid() const noexcept { return pid_; }

  enum class news { nothing, took_sockets, ready, gone };
  /// Hears what it says, and answers. `sockets` are this pool's.
  news listen(const handed_sockets& sockets);
  /// Says why it does not get the sockets, or may not keep them.
  void refuse(const std::string& why) const noexcept;
  /// Whether its process may have the sockets: the same user, or root (SO_PEERCRED).
  bool is_trusted() const noexcept;

 private:
  take_over_connection connection_;
  pid_t pid_ = 0;
};

/// A Unix socket where successors connect. Throws std::system_error. `user` and `group` may connect.
descriptor listen_for_successors(const std::string& path, uid_t user, gid_t group);

}  // namespace udppump::detail
