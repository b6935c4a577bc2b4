#include "sys/folder_trust.hpp"

#include <algorithm>
#include <cstdio>
#include <fstream>

#include "sys/sys_user.hpp"

namespace udppump::detail {

namespace {

/// Who has no id in this user namespace, as root of the host in a container, is shown as this (user_namespaces(7)); -1
/// if everybody has one, and so this id is a user's.
uid_t user_outside() {
  unsigned shown = static_cast<uid_t>(-1);
  std::ifstream{"/proc/sys/kernel/overflowuid"} >> shown;
  std::ifstream map{"/proc/self/uid_map"};
  for (unsigned long first = 0, outside = 0, count = 0; map >> first >> outside >> count;) {
    if (shown >= first && shown - first < count) return static_cast<uid_t>(-1);
  }
  return shown;
}

std::string who_and_mode(const struct stat& what) {
  char mode[8];
  std::snprintf(mode, sizeof mode, "%04o", static_cast<unsigned>(what.st_mode & 07777));
  return "owner " + std::to_string(what.st_uid) + ", group " + std::to_string(what.st_gid) + ", mode " + mode;
}

}  // namespace

folder_trust::folder_trust(uid_t heir) : self_{sys::effective_user()}, heir_{heir}, outside_{user_outside()} {
  if (self_ == 0) return;
  groups_.resize(static_cast<std::size_t>(std::max(0, sys::supplementary_groups(groups_))));
  groups_.resize(static_cast<std::size_t>(std::max(0, sys::supplementary_groups(groups_))));
  groups_.push_back(sys::effective_group());
}

bool folder_trust::is_ours(uid_t user) const noexcept { return user == 0 || user == self_; }

bool folder_trust::is_written_by_others(const struct stat& what) const noexcept {
  if ((what.st_mode & S_IWOTH) != 0) return true;
  if ((what.st_mode & S_IWGRP) == 0 || what.st_gid == 0) return false;
  return std::find(groups_.begin(), groups_.end(), what.st_gid) == groups_.end();
}

std::string folder_trust::why_not_through(const struct stat& folder, const struct stat& next) const {
  const std::string what = "on the way there (" + who_and_mode(folder) + ") ";
  constexpr char cure[] = ": choose a folder such as /run/NAME, above which only root may";
  if (!is_ours(folder.st_uid) && !is_outside(folder.st_uid))
    return what + "belongs to another user, who may rename what is in it" + cure;
  if (!is_written_by_others(folder)) return {};
  if ((folder.st_mode & S_ISVTX) == 0) return what + "may be written to by others, who may rename what is in it" + cure;
  if (is_ours(next.st_uid)) return {};
  return what + "has the next one of another user, " + std::to_string(next.st_uid) + ", who may rename it" + cure;
}

std::string folder_trust::why_not_followed(const struct stat& link) const {
  if (is_ours(link.st_uid) || is_outside(link.st_uid)) return {};
  return "belongs to another user, " + std::to_string(link.st_uid) + ": name the folder itself";
}

std::string folder_trust::why_not_in(const struct stat& folder, bool sticky_accepted) const {
  constexpr char cure[] = ": choose one where only root and the user of the service may write, such as /run/NAME";
  const std::string what = '(' + who_and_mode(folder) + ") ";
  if (!is_trusted(folder.st_uid)) return what + "belongs to another user, who may put something else there" + cure;
  if (!is_written_by_others(folder)) return {};
  if ((folder.st_mode & S_ISVTX) != 0 && (sticky_accepted || self_ != 0)) return {};
  return what + "may be written to by others, who may put something else there" + cure;
}

std::string folder_trust::why_not_file(const struct stat& file) const {
  const std::string what = '(' + who_and_mode(file) + ") ";
  if (!is_trusted(file.st_uid)) return what + "belongs to another user: remove it, or choose another path";
  if (is_written_by_others(file)) return what + "may be written to by others: remove it, or change its mode";
  return {};
}

}  // namespace udppump::detail
