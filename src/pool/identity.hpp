#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "udppump/worker_pool.hpp"

namespace udppump::detail {

/// Who a pool is to become, looked up before anything is bound.
class identity {
 public:
  /// Throws std::system_error if a user or group does not exist, or this process may not become it.
  explicit identity(const privileges& wanted);

  /// For good, and checked. Throws std::system_error.
  void assume() const;
  /// Whom files for the pool should belong to; -1: as they are.
  uid_t user() const noexcept { return user_; }
  gid_t group() const noexcept { return group_; }

 private:
  uid_t user_ = static_cast<uid_t>(-1);
  gid_t group_ = static_cast<gid_t>(-1);
  bool sets_groups_ = false;
  std::vector<gid_t> groups_;
  bool no_new_privileges_;
};

}  // namespace udppump::detail
