#pragma once

// Who this process is, and whom it becomes (credentials(7)). As sys.hpp: each returns what the call returns, or -errno.

#include <grp.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <vector>

#include "sys/sys.hpp"

namespace udppump::sys {

inline uid_t effective_user() noexcept { return ::geteuid(); }
inline gid_t effective_group() noexcept { return ::getegid(); }

/// Whether the real, the effective and the saved one are all `user`.
inline bool is_wholly_user(uid_t user) noexcept {
  uid_t real = 0, effective = 0, saved = 0;
  return ::getresuid(&real, &effective, &saved) == 0 && real == user && effective == user && saved == user;
}
inline bool is_wholly_group(gid_t group) noexcept {
  gid_t real = 0, effective = 0, saved = 0;
  return ::getresgid(&real, &effective, &saved) == 0 && real == group && effective == group && saved == group;
}

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
/// Of the calling thread, and those it starts.
inline int set_no_new_privileges() noexcept {
  return once([&] { return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); });
}
/// Whether that holds for this process.
inline bool no_new_privileges() noexcept { return ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1; }

/// Whether the calling thread has any capability, or could have one again: permitted, inheritable (capget(2)).
inline bool has_capabilities() noexcept {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {};
  if (once([&] { return ::syscall(SYS_capget, &header, sets); }) < 0) return true;
  return std::any_of(std::begin(sets), std::end(sets),
                     [](const auto& set) { return (set.effective | set.permitted | set.inheritable) != 0; });
}
/// All of the calling thread's, the ambient ones with them.
inline int drop_capabilities() noexcept {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  const __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {};
  return static_cast<int>(once([&] { return ::syscall(SYS_capset, &header, none); }));
}
/// No program that the calling thread executes has any capability, whatever its file says; requires CAP_SETPCAP.
inline int drop_bounding_set() noexcept {
  for (unsigned long one = 0;; ++one) {
    if (::prctl(PR_CAPBSET_READ, one, 0, 0, 0) < 0) return 0;  // beyond the last one that the kernel knows
    if (const int dropped = once([&] { return ::prctl(PR_CAPBSET_DROP, one, 0, 0, 0); }); dropped < 0) return dropped;
  }
}

/// A session keyring without keys in place of the calling thread's, for it and those it starts: a change of user leaves
/// that as it is (session-keyring(7)).
inline int leave_session_keyring() noexcept {
  constexpr long join_session_keyring = 1;  // <linux/keyctl.h>
  return static_cast<int>(once([&] { return ::syscall(SYS_keyctl, join_session_keyring, nullptr); }));
}

/// Whether processes of the same user may read and trace this one, and it leaves a core file (PR_SET_DUMPABLE). Each
/// change of user, and each execve(2), sets it anew.
inline bool is_open_to_its_user() noexcept { return ::prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 1; }
inline int close_to_its_user() noexcept {
  return once([&] { return ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); });
}

}  // namespace udppump::sys
