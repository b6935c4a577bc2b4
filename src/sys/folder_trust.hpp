#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <string>
#include <vector>

namespace udppump::detail {

/// Whether somebody who is not trusted may change what is in a folder, by its owner, its group, its mode and its access
/// control lists. Each function returns why not, and what helps, as the rest of a sentence about the folder, link or
/// file; empty: it is in order. The rules are those of service_path.
class folder_trust {
 public:
  explicit folder_trust(uid_t heir);

  /// A folder or file: an open descriptor of it, of which O_PATH will do, and its fstat(2).
  struct looked_at {
    int fd;
    const struct stat& about;
  };
  /// May `next`, which is in `folder`, be gone into?
  std::string why_not_through(looked_at folder, const struct stat& next) const;
  std::string why_not_followed(const struct stat& link) const;
  /// May something be made there?
  std::string why_not_in(looked_at folder, bool sticky_accepted) const;
  /// May this regular file be used?
  std::string why_not_file(looked_at file) const;

 private:
  bool is_ours(uid_t user) const noexcept;
  bool is_trusted(uid_t user) const noexcept { return is_ours(user) || (user == heir_ && heir_ != none_); }
  /// Such as root of the host, to whom in a container the folders above may belong.
  bool is_outside(uid_t user) const noexcept { return user == outside_ && outside_ != none_; }
  /// That others may write to it, whom neither its mode nor its list should let; empty: nobody.
  std::string others_who_write(looked_at what, uid_t heir) const;

  static constexpr uid_t none_ = static_cast<uid_t>(-1);
  uid_t self_;
  uid_t heir_;
  uid_t outside_;  // what users outside this user namespace are shown as
  std::vector<gid_t> groups_;
};

}  // namespace udppump::detail
