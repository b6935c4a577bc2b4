#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <string_view>
#include <vector>

#include "udppump/export.hpp"

namespace udppump::detail {

/// Whom an access control list may name without harm.
struct trusted_names {
  uid_t user;                        // beside root
  uid_t heir;                        // -1: none
  const std::vector<gid_t>& groups;  // beside root's
};

// Each returns whether a list permits somebody else to write, who is not the owner, the owner's group or everybody:
// those are in the file's mode. A list that cannot be read permits it.

/// As the kernel gives it (system.posix_acl_access; linux/posix_acl_xattr.h).
UDPPUMP_EXPORT bool posix_list_lets_others_write(std::string_view list,
                                                 trusted_names trusted);  // exported for its test
/// As the server of an NFS 4 mount gives it (system.nfs4_acl: RFC 7530 6.2.1, in XDR). Names are trusted to be root's
/// only if they say so.
UDPPUMP_EXPORT bool nfs_list_lets_others_write(std::string_view list);

/// Whether the access control list of an open file or folder (O_PATH will do) does so.
bool lists_let_others_write(int fd, const struct stat& about, trusted_names trusted);

}  // namespace udppump::detail
