#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <string>

#include "udppump/descriptor.hpp"
#include "udppump/export.hpp"

namespace udppump::detail {

/// Whom a process that is root is going to become, and what it makes is given to; -1: stays as it is.
struct heir {
  uid_t user = static_cast<uid_t>(-1);
  gid_t group = static_cast<gid_t>(-1);
};

/// Whether root may use a folder such as /tmp, where everybody makes entries and each removes only his own (the sticky
/// bit). Who is not root may: what he finds there must be his own.
enum class sticky_folder : char { refused_to_root, accepted };

/// Where a file or Unix socket is opened, made or removed for a service: its name, and the folder it is in, held open.
/// The one place that does so, as root may do it where others may write; test/files-test.sh looks that no other does.
///
/// Trusted are root, this process's own user, and the heir. The folder must belong to one of them, and nobody else may
/// be permitted to write to it: not all, no group but root's and, if this process is not root, its own ones, and nobody
/// else by an access control list (POSIX, NFS 4). The folders above must be so too, and not the heir's, who could put
/// another in the place of the next one; a sticky one will do if the next belongs to root or this process's user.
/// Symbolic links on the way are followed if they belong to one of these two. So who is not trusted cannot change where
/// the path leads, and the heir only what is in its folder.
///
/// What has the name is itself never followed if it is a link. Failures are std::system_error; the text begins with
/// what the path is for, and names cause and cure.
class UDPPUMP_EXPORT service_path {  // exported for udppump::pool
 public:
  /// Looks the folder up. `purpose` is what errors call the path, such as "poison file". Throws.
  service_path(const std::string& purpose, const std::string& path, heir who = {},
               sticky_folder rule = sticky_folder::refused_to_root);

  struct opened {
    descriptor file;
    bool is_new;  // made here, and given to the heir
  };
  /// A regular file with no other name, which belongs to a trusted user, and which nobody else may write to. `flags`
  /// are those of open(2) for reading, writing and appending. If there is none it is made with `mode`, less what
  /// umask(2) takes. Throws.
  opened open(int flags, mode_t mode) const;
  /// A regular file that is there, which belongs to a trusted user and which nobody else may write to: else throws.
  /// Nothing is opened.
  void look() const;
  /// Whether the name still leads to this open file.
  bool leads_to(const descriptor& file) const noexcept;
  /// Removes the name if it leads to this open file: 0 or -errno, such as -EACCES once privileges were dropped.
  int remove(const descriptor& file) const noexcept;

  /// Binds a Unix socket to the path, in the place of one that nobody has any more. What is made has this mode, less
  /// what umask(2) takes. 0, or -errno as bind(2): -EADDRINUSE if a process has it, or what is there is no socket.
  int bind(const descriptor& socket, mode_t mode = 0777) const noexcept;
  /// Removes a socket that nobody has any more; whether the path was free of one then.
  bool remove_dead_socket() const noexcept;
  /// Gives what bind() made to the heir. Throws.
  void give_socket() const;
  /// Removes the socket that is there: 0 or -errno. What is no socket is left.
  int remove_socket() const noexcept;
  /// Whether something is there that is no socket.
  bool is_in_the_way() const noexcept;

  /// The folder's descriptor.
  int folder() const noexcept { return folder_.fd(); }
  /// As errors begin: purpose and path.
  const std::string& what() const noexcept { return what_; }

 private:
  void find_folder(const std::string& path, sticky_folder rule);
  void check(const descriptor& file) const;
  bool is_dead(const std::string& name) const noexcept;
  std::string beside(const std::string& name) const;
  [[noreturn]] void refuse(int error, const std::string& why) const;
  [[noreturn]] void refuse(int error, const std::string& why, const std::string& cure) const;

  std::string path_;
  std::string what_;
  heir heir_;
  std::string name_;
  descriptor folder_;
};

}  // namespace udppump::detail
