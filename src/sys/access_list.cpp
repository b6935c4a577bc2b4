#include "sys/access_list.hpp"

#include <linux/limits.h>
#include <linux/magic.h>
#include <linux/nfs4.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <string>

#include "sys/sys_file.hpp"

namespace udppump::detail {

namespace {

/// Reads numbers from the front of a list.
class reader {
 public:
  explicit reader(std::string_view list) noexcept : rest_{list} {}

  bool is_short() const noexcept { return short_; }
  bool at_end() const noexcept { return rest_.empty(); }

  std::uint32_t little(std::size_t size) noexcept {
    std::uint32_t value = 0;
    const std::string_view bytes = take(size);
    for (std::size_t i = bytes.size(); i > 0; --i) value = value << 8 | static_cast<unsigned char>(bytes[i - 1]);
    return value;
  }
  std::uint32_t big() noexcept {
    std::uint32_t value = 0;
    for (const char byte : take(4)) value = value << 8 | static_cast<unsigned char>(byte);
    return value;
  }
  std::string_view take(std::size_t size) noexcept {
    short_ = short_ || size > rest_.size();
    if (short_) return {};
    const std::string_view taken = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return taken;
  }

 private:
  std::string_view rest_;
  bool short_ = false;
};

/// False: there is no such list. One that cannot be read is there, and empty.
bool read_list(int fd, const char* name, std::string& list) {
  const std::string path = "/proc/self/fd/" + std::to_string(fd);  // fgetxattr(2) refuses O_PATH
  list.resize(XATTR_SIZE_MAX);
  const ssize_t size = sys::attribute(path.c_str(), name, list.data(), list.size());
  list.resize(size < 0 ? 0 : static_cast<std::size_t>(size));
  return size != -ENODATA && size != -EOPNOTSUPP;
}

}  // namespace

bool posix_list_lets_others_write(std::string_view list, trusted_names trusted) {
  reader from{list};
  if (from.little(4) != POSIX_ACL_XATTR_VERSION) return true;
  std::uint32_t mask = ACL_WRITE;
  bool named = false;
  while (!from.at_end()) {
    const auto tag = from.little(2), allowed = from.little(2), id = from.little(4);
    if (from.is_short()) return true;
    if (tag == ACL_MASK) mask = allowed;
    if ((allowed & ACL_WRITE) == 0 || id == 0) continue;
    const auto& groups = trusted.groups;
    const bool is_outside = id == static_cast<uid_t>(-1);  // somebody without an id in this user namespace
    const bool is_known = tag == ACL_USER ? id == trusted.user || id == trusted.heir
                                          : std::find(groups.begin(), groups.end(), id) != groups.end();
    named = named || ((tag == ACL_USER || tag == ACL_GROUP) && (is_outside || !is_known));
  }
  return named && (mask & ACL_WRITE) != 0;
}

bool nfs_list_lets_others_write(std::string_view list) {
  constexpr std::uint32_t writing = NFS4_ACE_WRITE_DATA | NFS4_ACE_APPEND_DATA | NFS4_ACE_DELETE_CHILD |
                                    NFS4_ACE_DELETE | NFS4_ACE_WRITE_ACL | NFS4_ACE_WRITE_OWNER;
  reader from{list};
  const auto count = from.big();
  for (std::uint32_t i = 0; i < count; ++i) {
    const auto type = from.big();
    from.big();  // to what it is handed down
    const auto allowed = from.big(), size = from.big();
    const std::string_view who = from.take(size);
    from.take((4 - size % 4) % 4);
    if (from.is_short()) return true;
    if (type != NFS4_ACE_ACCESS_ALLOWED_ACE_TYPE || (allowed & writing) == 0) continue;
    if (who == "OWNER@" || who == "GROUP@" || who == "EVERYONE@") continue;
    if (who != "0" && who != "root" && !who.starts_with("root@")) return true;
  }
  return from.is_short();
}

bool lists_let_others_write(int fd, const struct stat& about, trusted_names trusted) {
  std::string list;
  // With a list, the group's bits of the mode are the most that it permits to those whom it names (acl(5)).
  if ((about.st_mode & S_IWGRP) != 0 && read_list(fd, "system.posix_acl_access", list)) {
    return posix_list_lets_others_write(list, trusted);
  }
  struct statfs where {};
  const bool is_nfs = sys::filesystem_status(fd, where) == 0 && where.f_type == NFS_SUPER_MAGIC;
  return is_nfs && read_list(fd, "system.nfs4_acl", list) && nfs_list_lets_others_write(list);
}

}  // namespace udppump::detail
