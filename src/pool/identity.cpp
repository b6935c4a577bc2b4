#include "pool/identity.hpp"

#include <grp.h>
#include <pwd.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "sys/failure.hpp"
#include "sys/sys_user.hpp"

namespace udppump::detail {

namespace {

std::optional<unsigned> number(const std::string& text) {
  unsigned value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return {};
  if (value == static_cast<unsigned>(-1)) {
    fail(EINVAL, "user or group " + text + " is nobody: the kernel reads it as \"unchanged\"; give another number");
  }
  return value;
}

gid_t group_called(const std::string& text) {
  if (const auto id = number(text)) return *id;
  errno = 0;
  const group* const found = ::getgrnam(text.c_str());
  if (found == nullptr) {
    fail(errno == 0 ? ENOENT : errno,
         "group \"" + text + "\" is not known here; see `getent group`, or give its number");
  }
  return found->gr_gid;
}

std::vector<gid_t> groups_of(const std::string& name, gid_t main) {
  int count = 64;
  std::vector<gid_t> groups(static_cast<std::size_t>(count));
  while (::getgrouplist(name.c_str(), main, groups.data(), &count) < 0) groups.resize(static_cast<std::size_t>(count));
  groups.resize(static_cast<std::size_t>(count));
  return groups;
}

bool has_groups(std::vector<gid_t> wanted) {
  std::vector<gid_t> present;
  present.resize(static_cast<std::size_t>(std::max(0, sys::supplementary_groups(present))));
  if (sys::supplementary_groups(present) < 0) return false;
  std::sort(present.begin(), present.end());
  std::sort(wanted.begin(), wanted.end());
  return present == wanted;
}

}  // namespace

identity::identity(const privileges& wanted) : no_new_privileges_{wanted.no_new_privileges} {
  std::string name;
  if (!wanted.user.empty()) {
    errno = 0;
    const auto id = number(wanted.user);
    const passwd* const found = id ? ::getpwuid(*id) : ::getpwnam(wanted.user.c_str());
    if (found != nullptr) {
      name = found->pw_name;
      user_ = found->pw_uid;
      group_ = found->pw_gid;
    } else if (id) {
      user_ = *id;
    } else {
      fail(errno == 0 ? ENOENT : errno,
           "user \"" + wanted.user + "\" is not known here; see `getent passwd`, or give a number");
    }
  }
  if (!wanted.group.empty()) group_ = group_called(wanted.group);
  constexpr auto none = static_cast<gid_t>(-1);
  if (user_ != static_cast<uid_t>(-1) && group_ == none) {
    fail(EINVAL, "user " + wanted.user + " has no entry of its own, and so no group; say which group");
  }
  if (wanted.groups) {
    sets_groups_ = true;
    for (const std::string& one : *wanted.groups) groups_.push_back(group_called(one));
  } else if (user_ != static_cast<uid_t>(-1)) {
    sets_groups_ = true;
    groups_ = name.empty() ? std::vector<gid_t>{group_} : groups_of(name, group_);
  } else if (group_ != none) {
    // A group alone: those of the user who started it, mostly root, are not kept beside it.
    sets_groups_ = true;
    groups_ = {group_};
  }
  // Already so (a pool that takes over from one that became it): nothing to change, and no privilege needed.
  if (user_ == sys::effective_user() && user_ == sys::real_user() &&
      (group_ == none || group_ == sys::effective_group()) && user_ != 0 && (!wanted.groups || has_groups(groups_))) {
    user_ = static_cast<uid_t>(-1);
    group_ = none;
    sets_groups_ = false;
  }
  if ((user_ != static_cast<uid_t>(-1) || group_ != none || sets_groups_) && sys::effective_user() != 0) {
    fail(EPERM, "becoming user \"" + wanted.user +
                    "\" requires root (or a service manager that sets the user itself, as "
                    "systemd's User= does)");
  }
}

void identity::assume() const {
  const auto must = [](int result, const std::string& what) {
    if (result < 0) fail(result, what + ": requires root with CAP_SETUID and CAP_SETGID");
  };
  if (sets_groups_) must(sys::set_supplementary_groups(groups_), "setgroups");
  if (group_ != static_cast<gid_t>(-1)) must(sys::set_groups(group_), "setresgid " + std::to_string(group_));
  if (user_ != static_cast<uid_t>(-1)) {
    must(sys::set_users(user_), "setresuid " + std::to_string(user_));
    if (user_ != 0 && sys::set_effective_user(0) == 0) {
      fail(EPERM,
           "privileges were dropped, and could be had back; start without CAP_SETUID as an ambient or inheritable "
           "capability");
    }
  }
  if (no_new_privileges_ && sys::set_no_new_privileges() < 0)
    fail(EINVAL, "prctl PR_SET_NO_NEW_PRIVS: requires Linux 3.5");
}

}  // namespace udppump::detail
