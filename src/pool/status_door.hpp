#pragma once

#include <sys/types.h>

#include <chrono>
#include <string>
#include <vector>

#include "pool/board.hpp"
#include "udppump/descriptor.hpp"

namespace udppump::detail {

/// Where members of a group get the pool's memory, opened for reading (pool_options::status_group): a Unix socket with
/// an abstract name, so that there is no path for anybody to take, to link elsewhere or to leave behind. The kernel
/// says who connects. Whoever may look gets a descriptor and is then left alone: reading costs the parent nothing.
///
/// Descriptors on their way count against the parent's user until they are taken (unix(7), ETOOMANYREFS), so few may
/// be on their way to one user. Who takes nothing costs no more than that.
class status_door {
 public:
  using clock = std::chrono::steady_clock;
  static constexpr std::size_t most_visitors = 64, most_of_a_user = 4;

  /// Before privileges are dropped. Throws std::system_error, also if there is no such group.
  status_door(const std::string& group, const board& shared);

  int fd() const noexcept { return listener_.fd(); }
  /// Accepts all who wait, but a limited number at once: not before then again.
  void look(clock::time_point now) noexcept;
  clock::time_point polled_from() const noexcept { return polled_from_; }
  /// All that is open here, which no worker should have.
  void list(std::vector<int>& own) const;

 private:
  struct visitor {
    descriptor connection;
    uid_t user;
  };

  void let_in(descriptor connection) noexcept;
  bool may_look(int connection, uid_t& user) const noexcept;
  bool has_room_for(uid_t user) noexcept;

  gid_t group_;
  descriptor memory_;
  descriptor listener_;
  std::vector<visitor> visitors_;  // who have not taken it yet
  clock::time_point polled_from_ = clock::time_point::min();
};

/// What the names of these sockets begin with, after the zero byte; what follows is by chance.
inline constexpr char status_door_name[] = "udppump-status/";

}  // namespace udppump::detail
