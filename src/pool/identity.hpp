#pragma once

#include <sys/types.h>

#include <string>
#include <utility>
#include <vector>

#include "pool/account.hpp"
#include "udppump/worker_pool.hpp"

namespace udppump::detail {

/// Who a pool is to become, looked up before anything is bound.
class identity {
 public:
  /// Throws std::system_error if a user or group does not exist, or this process may not become it.
  explicit identity(const privileges& wanted);

  /// For good, and checked, with the environment of the new user. Throws std::system_error.
  void assume();
  /// What the kernel keeps for each thread: for the one that starts workers, which need not be that of assume(). Throws
  /// std::system_error.
  void bind_thread() const;
  /// Whether whoever is left is somebody without privileges.
  bool leaves_nothing() const noexcept { return leaves_nothing_; }
  /// Whom files for the pool should belong to; -1: as they are.
  uid_t user() const noexcept { return user_; }
  gid_t group() const noexcept { return group_; }

 private:
  void take_environment() const;
  void leave_keys() const;

  uid_t user_ = no_id;
  gid_t group_ = no_id;
  bool sets_groups_ = false;
  std::vector<gid_t> groups_;
  /// Somebody without privileges is to be left, be it who this process is already.
  bool leaves_nothing_ = false;
  bool no_new_privileges_ = false;
  /// Which thread has a session keyring of its own.
  pid_t rekeyed_ = 0;
  std::vector<std::pair<const char*, std::string>> environment_;
};

/// Of a parent that is the user already whom it is to become, as a new execution of one that changed is: nobody of the
/// same user, as workers are, reads or traces it from now on. As early as may be, since whatever is executed is open to
/// its user until then (prctl(2), PR_SET_DUMPABLE). Root is safe until it changes, and assume() sees to it then.
void close_to_workers(const privileges& wanted) noexcept;

}  // namespace udppump::detail
