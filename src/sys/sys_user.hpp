#pragma once

// Who this process is, and whom it becomes (credentials(7)). As sys.hpp: each returns what the call returns, or -errno.

#include <grp.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <vector>

#include "sys/sys.hpp"

namespace udppump::sys {

inline uid_t effective_user() noexcept { return ::geteuid(); }
inline uid_t real_user() noexcept { return ::getuid(); }
inline gid_t effective_group() noexcept { return ::getegid(); }

/// The real, the effective and the saved one.
inline int set_users(uid_t user) noexcept {
  return once([&] { return ::setresuid(user, user, user); });
}
inline int set_groups(gid_t group) noexcept {
  return once([&] { return ::setresgid(group, group, group); });
}
inline int set_effective_user(uid_t user) noexcept {
  return once([&] { return ::setuid(user); });
}
inline int set_supplementary_groups(const std::vector<gid_t>& groups) noexcept {
  return once([&] { return ::setgroups(groups.size(), groups.data()); });
}
/// How many; as many as `groups` has room for are stored there. None: only counts.
inline int supplementary_groups(std::vector<gid_t>& groups) noexcept {
  return once([&] { return ::getgroups(static_cast<int>(groups.size()), groups.data()); });
}
inline int set_no_new_privileges() noexcept {
  return once([&] { return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); });
}

}  // namespace udppump::sys
