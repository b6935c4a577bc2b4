#include "sys/folder_trust.hpp"

#include <algorithm>
#include <cstdio>
#include <fstream>

#include "sys/access_list.hpp"
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

std::string folder_trust::others_who_write(looked_at what, uid_t heir) const {
  const struct stat& about = what.about;
  if (lists_let_others_write(what.fd, about, {self_, heir, groups_})) {
    return "may be written to by others (its access control list, ACL, says so; setfacl -b removes that list)";
  }
  const bool group = (about.st_mode & S_IWGRP) != 0 && about.st_gid != 0 &&
                     std::find(groups_.begin(), groups_.end(), about.st_gid) == groups_.end();
  return group || (about.st_mode & S_IWOTH) != 0 ? "may be written to by others" : "";
}

std::string folder_trust::why_not_through(looked_at folder, const struct stat& next) const {
  const std::string what = "on the way there (" + who_and_mode(folder.about) + ") ";
  constexpr char cure[] = ": choose a folder such as /run/NAME, above which only root may";
  if (!is_ours(folder.about.st_uid) && !is_outside(folder.about.st_uid))
    return what + "belongs to another user, who may rename what is in it" + cure;
  const std::string others = others_who_write(folder, none_);
  if (others.empty()) return {};
  if ((folder.about.st_mode & S_ISVTX) == 0) return what + others + ", who may rename what is in it" + cure;
  if (is_ours(next.st_uid)) return {};
  return what + "has the next one of another user, " + std::to_string(next.st_uid) + ", who may rename it" + cure;
}

std::string folder_trust::why_not_followed(const struct stat& link) const {
  if (is_ours(link.st_uid) || is_outside(link.st_uid)) return {};
  return "belongs to another user, " + std::to_string(link.st_uid) + ": name the folder itself";
}

std::string folder_trust::why_not_in(looked_at folder, bool sticky_accepted) const {
  constexpr char cure[] = ": choose one where only root and the user of the service may write, such as /run/NAME";
  const std::string what = '(' + who_and_mode(folder.about) + ") ";
  if (!is_trusted(folder.about.st_uid))
    return what + "belongs to another user, who may put something else there" + cure;
  const std::string others = others_who_write(folder, heir_);
  if (others.empty()) return {};
  if ((folder.about.st_mode & S_ISVTX) != 0 && (sticky_accepted || self_ != 0)) return {};
  return what + others + ", who may put something else there" + cure;
}

std::string folder_trust::why_not_file(looked_at file) const {
  const std::string what = '(' + who_and_mode(file.about) + ") ";
  if (!is_trusted(file.about.st_uid)) return what + "belongs to another user: remove it, or choose another path";
  const std::string others = others_who_write(file, heir_);
  return others.empty() ? others : what + others + ": remove it, or change its mode";
}

}  // namespace udppump::detail
