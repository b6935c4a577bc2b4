#include "pool/identity.hpp"

#include <algorithm>
#include <cstdlib>

#include "sys/failure.hpp"
#include "sys/printable.hpp"
#include "sys/sys_process.hpp"
#include "sys/sys_user.hpp"

namespace udppump::detail {

namespace {

/// What a login, sudo(8) or ssh(1) puts there for the one who logged in.
constexpr const char* of_roots_session[] = {"DBUS_SESSION_BUS_ADDRESS",
                                            "MAIL",
                                            "SSH_AGENT_PID",
                                            "SSH_AUTH_SOCK",
                                            "SSH_CLIENT",
                                            "SSH_CONNECTION",
                                            "SSH_TTY",
                                            "SUDO_COMMAND",
                                            "SUDO_GID",
                                            "SUDO_HOME",
                                            "SUDO_TTY",
                                            "SUDO_UID",
                                            "SUDO_USER",
                                            "XAUTHORITY",
                                            "XDG_RUNTIME_DIR",
                                            "XDG_SESSION_CLASS",
                                            "XDG_SESSION_ID",
                                            "XDG_SESSION_TYPE"};

std::vector<gid_t> present_groups() {
  std::vector<gid_t> present;
  present.resize(static_cast<std::size_t>(std::max(0, sys::supplementary_groups(present))));
  if (sys::supplementary_groups(present) < 0) present.clear();
  std::sort(present.begin(), present.end());
  return present;
}

}  // namespace

identity::identity(const privileges& wanted)
    : no_new_privileges_{wanted.no_new_privileges.value_or(wanted.user.has_value())} {
  account who;
  if (wanted.user) {
    who = account_called(*wanted.user);
    user_ = who.user;
    group_ = who.group;
    leaves_nothing_ = user_ != 0;
    if (!who.name.empty()) {
      environment_ = {{"USER", who.name}, {"LOGNAME", who.name}, {"HOME", who.home}, {"SHELL", who.shell}};
    } else {
      environment_ = {{"USER", ""}, {"LOGNAME", ""}, {"HOME", ""}, {"SHELL", ""}};
    }
  }
  if (wanted.group) group_ = group_called(*wanted.group);
  if (user_ != no_id && group_ == no_id) {
    fail(EINVAL, "user " + *wanted.user + " has no entry of its own, and so no group; say which group");
  }
  if (wanted.groups) {
    sets_groups_ = true;
    for (const std::string& one : *wanted.groups) groups_.push_back(group_called(one));
  } else if (user_ != no_id) {
    sets_groups_ = true;
    groups_ = groups_of(who, group_);
  } else if (group_ != no_id) {
    // A group alone: those of the user who started it, mostly root, are not kept beside it.
    sets_groups_ = true;
    groups_ = {group_};
  }
  std::sort(groups_.begin(), groups_.end());
  groups_.erase(std::unique(groups_.begin(), groups_.end()), groups_.end());
  // Already so (a pool that takes over from one that became it): nothing to change, and no privilege needed. Groups
  // that were not asked for are none of the user's: root's, most often.
  if (leaves_nothing_ && sys::is_wholly_user(user_) && sys::is_wholly_group(group_)) {
    const auto present = present_groups();
    const bool as_wanted = wanted.groups
                               ? present == groups_
                               : std::includes(groups_.begin(), groups_.end(), present.begin(), present.end());
    if (!as_wanted && sys::effective_user() != 0) {
      std::string all;
      for (const gid_t one : present) all += (all.empty() ? "" : ",") + std::to_string(one);
      fail(EPERM, "this process is user " + quoted(*wanted.user) + " already, but its groups (" + all +
                      ") are not those asked for, and changing them requires root: start it without them (setpriv "
                      "--init-groups), or ask for these");
    }
    user_ = no_id;
    group_ = no_id;
    sets_groups_ = false;
  }
  if ((user_ != no_id || group_ != no_id || sets_groups_) && sys::effective_user() != 0) {
    fail(EPERM, (wanted.user ? "becoming user " + quoted(*wanted.user) : std::string{"changing groups"}) +
                    " requires root (or a service manager that does it itself, as systemd's User= and Group= do)");
  }
}

void identity::assume() {
  const auto must = [](int result, const std::string& what) {
    if (result == -EINVAL) {
      fail(result, what, "the number is not mapped in this user namespace: see /proc/self/uid_map and gid_map");
    }
    if (result < 0) fail(result, what, "it requires root with CAP_SETUID and CAP_SETGID");
  };
  // While it may, as the user could have no room for keys left.
  if (leaves_nothing_) leave_keys();
  rekeyed_ = sys::thread_id();
  // While it may: nobody gets capabilities by executing a file either. no_new_privileges alone says so as well.
  if (leaves_nothing_ && no_new_privileges_) static_cast<void>(sys::drop_bounding_set());
  if (sets_groups_) must(sys::set_supplementary_groups(groups_), "setgroups");
  if (group_ != no_id) must(sys::set_groups(group_), "setresgid " + std::to_string(group_));
  if (user_ != no_id) must(sys::set_users(user_), "setresuid " + std::to_string(user_));
  if (leaves_nothing_) {
    if (sys::is_open_to_its_user()) must(sys::close_to_its_user(), "prctl PR_SET_DUMPABLE");
    if (sys::has_capabilities()) must(sys::drop_capabilities(), "capset");
    if (sys::has_capabilities() || (user_ != no_id && sys::set_effective_user(0) == 0)) {
      fail(EPERM,
           "privileges were dropped, and could be regained; start without CAP_SETUID as an ambient or inheritable "
           "capability");
    }
  }
  take_environment();
  bind_thread();
}

void identity::bind_thread() const {
  if (leaves_nothing_ && sys::thread_id() != rekeyed_) leave_keys();
  if (no_new_privileges_ && sys::set_no_new_privileges() < 0)
    fail(EINVAL, "prctl PR_SET_NO_NEW_PRIVS: this kernel does not have it; take Linux 3.5 or newer");
}

/// What was added to a session keyring, such as a Kerberos ticket, is open to all who have it, whoever they became.
void identity::leave_keys() const {
  const int left = sys::leave_session_keyring();
  // There are none, or a filter forbids the call: to workers as well, as they have the same filter.
  if (left >= 0 || left == -ENOSYS || left == -EPERM || left == -EACCES) return;
  fail(left, "keyctl: a session keyring without the keys of who started this", "see /proc/key-users");
}

void identity::take_environment() const {
  for (const auto& [name, value] : environment_) {
    const int changed = value.empty() ? ::unsetenv(name) : ::setenv(name, value.c_str(), 1);
    if (changed != 0)
      fail(ENOMEM, std::string{"setting "} + name + " for the user that the pool becomes; free some memory");
  }
  if (user_ == no_id || !leaves_nothing_) return;
  for (const char* const name : of_roots_session) ::unsetenv(name);
}

void close_to_workers(const privileges& wanted) noexcept {
  if (wanted.user && sys::effective_user() != 0) static_cast<void>(sys::close_to_its_user());
}

}  // namespace udppump::detail
