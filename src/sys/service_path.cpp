#include "sys/service_path.hpp"

#include <limits.h>
#include <sys/un.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <string_view>
#include <utility>
#include <vector>

#include "sys/failure.hpp"
#include "sys/file_identity.hpp"
#include "sys/folder_trust.hpp"
#include "sys/sys_file.hpp"
#include "sys/sys_user.hpp"

namespace udppump::detail {

namespace {

constexpr int most_links = 40;  // as the kernel has it (path_resolution(7))

/// In the order in which they are gone through; without the empty ones and ".".
std::deque<std::string> names_of(std::string_view path) {
  std::deque<std::string> names;
  while (!path.empty()) {
    const auto end = std::min(path.find('/'), path.size());
    if (const auto name = path.substr(0, end); !name.empty() && name != ".") names.emplace_back(name);
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return names;
}

std::string here() {
  char text[PATH_MAX];
  if (const int named = sys::current_folder(text, sizeof text); named < 0) {
    fail(named, "the folder that this process is in", "give a whole path");
  }
  return text;
}

}  // namespace

service_path::service_path(const std::string& purpose, const std::string& path, heir who, sticky_folder rule)
    : path_{path}, what_{purpose + " \"" + path + '"'}, heir_{who} {
  const auto slash = path.rfind('/');
  name_ = slash == std::string::npos ? path : path.substr(slash + 1);
  if (name_.empty() || name_ == "." || name_ == "..") refuse(EISDIR, "this is a folder; name a file in it");
  if (path.find('\0') != std::string::npos) refuse(EINVAL, "a path has no zero byte");
  find_folder(path.substr(0, path.size() - name_.size()), rule);
}

/// Step by step, as each folder and link must be looked at, for which openat2(2) has no flag.
void service_path::find_folder(const std::string& path, sticky_folder rule) {
  const folder_trust trust{heir_.user};
  std::deque<std::string> ahead = names_of(path.starts_with('/') ? path : here() + '/' + path);
  std::string at = "/";  // where we are, for errors
  descriptor folder{sys::open("/", O_PATH | O_DIRECTORY)};
  struct stat about {};
  if (!folder || sys::status(folder.fd(), about) < 0)
    refuse(EACCES, "the folder \"/\" cannot be opened; allow it: a security module may forbid it");
  for (int links = 0; !ahead.empty();) {
    const std::string name = std::move(ahead.front());
    ahead.pop_front();
    const std::string there = (at == "/" ? at : at + '/') + name;
    descriptor next{sys::open_at(folder.fd(), name.c_str(), O_PATH | O_DIRECTORY)};  // which mounts it if need be
    if (next.fd() == -ENOTDIR || next.fd() == -ELOOP) {
      next = descriptor{sys::open_at(folder.fd(), name.c_str(), O_PATH)};
    }
    struct stat about_next {};
    const int known = next ? sys::status(next.fd(), about_next) : next.fd();
    if (known == -ENOENT) refuse(ENOENT, "the folder \"" + there + "\" does not exist; make it first");
    if (known < 0)
      refuse(-known, "the folder \"" + there + "\" cannot be entered", "choose another, or change its mode");
    if (const std::string why = trust.why_not_through({folder.fd(), about}, about_next); !why.empty()) {
      refuse(EPERM, "the folder \"" + at + "\" " + why);
    }
    if (S_ISLNK(about_next.st_mode)) {
      char target[PATH_MAX];
      const ssize_t size = sys::read_link(next.fd(), target, sizeof target);
      if (size < 0 || static_cast<std::size_t>(size) == sizeof target || ++links > most_links) {
        refuse(ELOOP, "the symbolic link \"" + there + "\" leads nowhere; name the folder itself");
      }
      if (const std::string why = trust.why_not_followed(about_next); !why.empty()) {
        refuse(EPERM, "the symbolic link \"" + there + "\" " + why);
      }
      const std::string_view leads_to{target, static_cast<std::size_t>(size)};
      std::deque<std::string> names = names_of(leads_to);
      ahead.insert(ahead.begin(), names.begin(), names.end());
      if (!leads_to.starts_with('/')) continue;
      at = "/";
      next = descriptor{sys::open("/", O_PATH | O_DIRECTORY)};
      if (!next || sys::status(next.fd(), about_next) < 0)
        refuse(EACCES, "the folder \"/\" cannot be opened; allow it: a security module may forbid it");
    } else if (!S_ISDIR(about_next.st_mode)) {
      refuse(ENOTDIR, '"' + there + "\" is no folder; choose another path");
    } else {
      at = name == ".." ? at.substr(0, std::max<std::size_t>(at.rfind('/'), 1)) : there;
    }
    folder = std::move(next);
    about = about_next;
  }
  if (const std::string why = trust.why_not_in({folder.fd(), about}, rule == sticky_folder::accepted); !why.empty()) {
    refuse(EPERM, "the folder \"" + at + "\" " + why);
  }
  folder_ = std::move(folder);
}

void service_path::refuse(int error, const std::string& why) const { fail(error, what_ + ": " + why); }
void service_path::refuse(int error, const std::string& why, const std::string& cure) const {
  fail(error, what_ + ": " + why, cure);
}

// --- files -----------------------------------------------------------------------------------------------------------

service_path::opened service_path::open(int flags, mode_t mode) const {
  // What is opened waits for nobody and becomes nobody's terminal.
  flags |= O_NONBLOCK | O_NOCTTY;
  constexpr int most_tries = 100;  // others may make and remove it meanwhile, as they end and start
  for (int tries = 0; tries < most_tries; ++tries) {
    struct stat about {};
    const int known = sys::status_at(folder_.fd(), name_.c_str(), about);
    if (known == 0) {
      // Before it is opened: opening a device may do something.
      if (S_ISLNK(about.st_mode)) refuse(ELOOP, "it is a symbolic link; give the path of the file itself");
      if (!S_ISREG(about.st_mode)) refuse(EEXIST, "it is no regular file; remove it, or choose another path");
      descriptor file{sys::open_at(folder_.fd(), name_.c_str(), flags)};
      if (file.fd() == -EACCES) {
        refuse(EACCES, "it belongs to user " + std::to_string(about.st_uid) +
                           ", and this process may not open it; "
                           "remove it, or choose another path");
      }
      if (file.fd() == -EAGAIN) {
        refuse(EBUSY,
               "somebody has a lease on it (fcntl(2), F_SETLEASE), and lets nobody open it; end that process, which "
               "/proc/locks names, or remove the file");
      }
      if (!file && file.fd() != -ENOENT && file.fd() != -ELOOP && file.fd() != -ENXIO)
        refuse(-file.fd(), "it cannot be opened", cure_of(file.fd()));
      if (!file || !leads_to(file)) continue;  // another is there now, or none
      check(file);
      return {std::move(file), false};
    }
    if (known != -ENOENT) refuse(-known, "its folder cannot be entered", "choose another, or change its mode");
    descriptor file{sys::open_at(folder_.fd(), name_.c_str(), flags | O_CREAT | O_EXCL, mode)};
    if (file.fd() == -EEXIST) continue;
    if (!file) refuse(-file.fd(), "it cannot be made", "let this user write to its folder, or choose another");
    if (heir_.user != heir{}.user || heir_.group != heir{}.group) {
      const int given = sys::set_owner(file.fd(), heir_.user, heir_.group);
      if (given < 0) {
        static_cast<void>(remove(file));
        refuse(-given, "it cannot be given to user " + std::to_string(heir_.user), "that requires CAP_CHOWN");
      }
    }
    return {std::move(file), true};
  }
  refuse(EAGAIN, "somebody makes and removes it all the time; look who it is, or choose another path");
}

void service_path::look() const {
  const descriptor file{sys::open_at(folder_.fd(), name_.c_str(), O_PATH)};
  struct stat about {};
  const int known = file ? sys::status(file.fd(), about) : file.fd();
  if (known < 0) refuse(-known, "it cannot be looked at", cure_of(known));
  if (!S_ISREG(about.st_mode)) refuse(EEXIST, "it is no regular file; give the path of the file itself");
  if (const std::string why = folder_trust{heir_.user}.why_not_file({file.fd(), about}); !why.empty())
    refuse(EPERM, "it " + why);
}

void service_path::check(const descriptor& file) const {
  struct stat about {};
  if (const int failed = sys::status(file.fd(), about); failed < 0)
    refuse(-failed, "it cannot be looked at", cure_of(failed));
  if (!S_ISREG(about.st_mode)) refuse(EEXIST, "it is no regular file; remove it, or choose another path");
  if (about.st_nlink > 1) refuse(EMLINK, "it has another name (a hard link); remove it, or choose another path");
  if (const std::string why = folder_trust{heir_.user}.why_not_file({file.fd(), about}); !why.empty())
    refuse(EPERM, "it " + why);
}

bool service_path::leads_to(const descriptor& file) const noexcept {
  struct stat named {};
  return sys::status_at(folder_.fd(), name_.c_str(), named) == 0 &&
         file_identity::of(file.fd()) == file_identity::of(named);
}

int service_path::remove(const descriptor& file) const noexcept {
  return leads_to(file) ? sys::unlink_at(folder_.fd(), name_.c_str()) : -ENOENT;
}

// --- Unix sockets ----------------------------------------------------------------------------------------------------

namespace {

/// The address of a path; none if it is too long.
struct unix_address {
  sockaddr_un name{};
  socklen_t size = 0;

  explicit unix_address(const std::string& path) noexcept {
    name.sun_family = AF_UNIX;
    if (path.size() >= sizeof name.sun_path) return;
    std::memcpy(name.sun_path, path.data(), path.size());
    size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + 1);
  }
  const sockaddr* data() const noexcept { return reinterpret_cast<const sockaddr*>(&name); }
};

}  // namespace

/// By the path itself, as that is what getsockname(2) says to peers, who answer there; nobody who is not trusted can
/// change where it leads.
int service_path::bind(const descriptor& socket, mode_t mode) const noexcept {
  const unix_address where{path_};
  if (where.size == 0) return -ENAMETOOLONG;
  if (const int set = sys::set_mode(socket.fd(), mode); set < 0) return set;
  const int bound = sys::bind(socket.fd(), where.data(), where.size);
  if (bound != -EADDRINUSE || !remove_dead_socket()) return bound;
  return sys::bind(socket.fd(), where.data(), where.size);
}

/// Nobody has the socket any more. Asked by one that sends datagrams: a socket of another type refuses with EPROTOTYPE
/// as soon as it is bound, also before it listens.
bool service_path::is_dead(const std::string& name) const noexcept {
  struct stat about {};
  if (sys::status_at(folder_.fd(), name.c_str(), about) < 0 || !S_ISSOCK(about.st_mode)) return false;
  const unix_address where{beside(name)};
  const descriptor probe{sys::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  return where.size != 0 && probe && sys::connect(probe.fd(), where.data(), where.size) == -ECONNREFUSED;
}

/// Another start may do the same at this time, and its socket be there by now. So what is there is first put aside and
/// asked again.
bool service_path::remove_dead_socket() const noexcept {
  if (!is_dead(name_)) return false;
  unsigned random = 0;
  if (sys::random(&random, sizeof random) != sizeof random) return false;
  const std::string aside = ".udppump-" + std::to_string(random);
  if (const int moved = sys::rename_at(folder_.fd(), name_.c_str(), aside.c_str()); moved < 0) return moved == -ENOENT;
  const bool dead = is_dead(aside);
  if (!dead) static_cast<void>(sys::link_at(folder_.fd(), aside.c_str(), name_.c_str()));
  static_cast<void>(sys::unlink_at(folder_.fd(), aside.c_str()));
  return dead;
}

/// The path of another name in the same folder.
std::string service_path::beside(const std::string& name) const {
  const std::string path = path_.substr(0, path_.size() - name_.size()) + name;
  if (path.size() < sizeof sockaddr_un{}.sun_path) return path;
  return "/proc/self/fd/" + std::to_string(folder_.fd()) + '/' + name;
}

void service_path::give_socket() const {
  // Not to say "unchanged": a service's system call filter may forbid it (systemd's @privileged).
  if (heir_.user == heir{}.user && heir_.group == heir{}.group) return;
  const descriptor there{sys::open_at(folder_.fd(), name_.c_str(), O_PATH)};
  struct stat about {};
  int given = there ? sys::status(there.fd(), about) : there.fd();
  // The heir may have put another there, if the folder is its own.
  if (given == 0 && (!S_ISSOCK(about.st_mode) || about.st_nlink != 1 || about.st_uid != sys::effective_user())) {
    refuse(EPERM, "somebody has put something else there; choose a folder where only root may write");
  }
  if (given == 0) given = sys::set_owner_of(there.fd(), heir_.user, heir_.group);
  if (given < 0) {
    refuse(-given, "it cannot be given to user " + std::to_string(heir_.user),
           "that requires CAP_CHOWN, and a file system where sockets can be owned");
  }
}

int service_path::remove_socket() const noexcept {
  struct stat about {};
  if (const int known = sys::status_at(folder_.fd(), name_.c_str(), about); known < 0) return known;
  return S_ISSOCK(about.st_mode) ? sys::unlink_at(folder_.fd(), name_.c_str()) : -ENOTSOCK;
}

bool service_path::is_in_the_way() const noexcept {
  struct stat about {};
  return sys::status_at(folder_.fd(), name_.c_str(), about) == 0 && !S_ISSOCK(about.st_mode);
}

}  // namespace udppump::detail
