#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace udppump::detail {

/// No user and no group: the kernel reads it as "unchanged" (setresuid(2)).
constexpr auto no_id = static_cast<uid_t>(-1);

/// A user of this system.
struct account {
  uid_t user = no_id;
  /// no_id if the user has no entry.
  gid_t group = no_id;
  /// Empty if the user has no entry.
  std::string name = {}, home = {}, shell = {};
};

/// Whom a written name or number stands for. Throws std::system_error, with cause and cure, if that is nobody, if it
/// could be two, or if it is root under another name than root's own: then privileges would only seem to be dropped.
account account_called(const std::string& text);
/// The same of a group, which may be root's.
gid_t group_called(const std::string& text);
/// Those the user is a member of, with its own.
std::vector<gid_t> groups_of(const account& who, gid_t own);

}  // namespace udppump::detail
