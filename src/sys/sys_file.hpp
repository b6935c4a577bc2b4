#pragma once

// Files, shared memory, and the Unix sockets by which pools take over. As sys.hpp: each returns what the call returns,
// or -errno, and EINTR is decided here.

#include <fcntl.h>
#include <linux/sockios.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cstdio>

#include "sys/sys.hpp"

namespace udppump::sys {

inline int open(const char* path, int flags, mode_t mode = 0) noexcept {
  return repeat([&] { return ::open(path, flags | O_CLOEXEC, mode); });
}
/// What is in a folder, by the folder's descriptor, and itself even if it is a symbolic link. For sys/service_path.cpp
/// alone, as are all calls here that make, change or remove what has a name.
inline int open_at(int folder, const char* name, int flags, mode_t mode = 0) noexcept {
  return repeat([&] { return ::openat(folder, name, flags | O_CLOEXEC | O_NOFOLLOW, mode); });
}
inline int status_at(int folder, const char* name, struct stat& about) noexcept {
  return once([&] { return ::fstatat(folder, name, &about, AT_SYMLINK_NOFOLLOW); });
}
inline int unlink_at(int folder, const char* name) noexcept {
  return once([&] { return ::unlinkat(folder, name, 0); });
}
inline int rename_at(int folder, const char* from, const char* to) noexcept {
  return once([&] { return ::renameat(folder, from, folder, to); });
}
/// Fails if there is something called `to`.
inline int link_at(int folder, const char* from, const char* to) noexcept {
  return once([&] { return ::linkat(folder, from, folder, to, 0); });
}
/// Of what an O_PATH descriptor stands for; of a symbolic link, where it leads (readlinkat(2)).
inline ssize_t read_link(int fd, char* to, std::size_t size) noexcept {
  return once([&] { return ::readlinkat(fd, "", to, size); });
}
inline int set_owner_of(int path_descriptor, uid_t user, gid_t group) noexcept {
  return once([&] { return ::fchownat(path_descriptor, "", user, group, AT_EMPTY_PATH); });
}
/// Of a Unix socket, before it is bound: that of its path from then on, but for what umask(2) takes.
inline int set_mode(int fd, mode_t mode) noexcept {
  return once([&] { return ::fchmod(fd, mode); });
}
inline int status(int fd, struct stat& about) noexcept {
  return once([&] { return ::fstat(fd, &about); });
}
/// An extended attribute, of what the path leads to in the end.
inline ssize_t attribute(const char* path, const char* name, void* to, std::size_t size) noexcept {
  return once([&] { return ::getxattr(path, name, to, size); });
}
/// Of the file system that the file is in.
inline int filesystem_status(int fd, struct statfs& about) noexcept {
  return once([&] { return ::fstatfs(fd, &about); });
}
inline ssize_t read_at(int fd, void* to, std::size_t size, std::size_t from) noexcept {
  return repeat([&] { return ::pread(fd, to, size, static_cast<off_t>(from)); });
}
inline ssize_t write_at(int fd, const void* from, std::size_t size, std::size_t to) noexcept {
  return repeat([&] { return ::pwrite(fd, from, size, static_cast<off_t>(to)); });
}
/// All of the file, for whoever has this descriptor or a copy: F_RDLCK, which others may have as well, F_WRLCK or
/// F_UNLCK. Changes from one to another in one step. -EAGAIN if it is another's.
inline int lock(int fd, short kind) noexcept {
  struct flock all {};
  all.l_type = kind;
  all.l_whence = SEEK_SET;
  return once([&] { return ::fcntl(fd, F_OFD_SETLK, &all); });
}
/// What is there now, whether or not the file waits (O_NONBLOCK); -EOPNOTSUPP if the kernel cannot do that here.
inline ssize_t read_at_once(int fd, void* to, std::size_t size) noexcept {
  const iovec part{to, size};
  return repeat([&] { return ::preadv2(fd, &part, 1, -1, RWF_NOWAIT); });
}
/// What there is room for now, whether or not the file waits (O_NONBLOCK); -EOPNOTSUPP if the kernel cannot do that
/// here.
inline ssize_t write_at_once(int fd, const void* from, std::size_t size) noexcept {
  const iovec part{const_cast<void*>(from), size};
  return repeat([&] { return ::pwritev2(fd, &part, 1, -1, RWF_NOWAIT); });
}
inline int status_of(const char* path, struct stat& about) noexcept {
  return once([&] { return ::stat(path, &about); });
}
inline int current_folder(char* to, std::size_t size) noexcept {
  return once([&] { return ::getcwd(to, size) != nullptr ? 0 : -1; });
}
inline ssize_t random(void* to, std::size_t size) noexcept {
  return repeat([&] { return ::getrandom(to, size, 0); });
}
/// What access(2) asks, for the effective user and groups: 0, -EACCES, or what prevents the answer.
inline int may(const char* path, int how) noexcept {
  return once([&] { return ::faccessat(AT_FDCWD, path, how, AT_EACCESS); });
}
inline int may_execute(const char* path) noexcept {
  return once([&] { return ::access(path, X_OK); });
}
inline ssize_t read_link(const char* path, char* to, std::size_t size) noexcept {
  return once([&] { return ::readlink(path, to, size); });
}
inline int set_owner(int fd, uid_t user, gid_t group) noexcept {
  return once([&] { return ::fchown(fd, user, group); });
}

inline int memory_file(const char* name) noexcept {
  return once([&] { return ::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING); });
}
/// From now on nobody changes the size of a memory_file(), and nobody undoes that.
inline int seal_size(int fd) noexcept {
  return once([&] { return ::fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL); });
}
inline int truncate(int fd, std::size_t size) noexcept {
  return repeat([&] { return ::ftruncate(fd, static_cast<off_t>(size)); });
}
/// Memory that is the file's, or null and -errno.
struct mapping {
  void* at;
  int error;
};
inline mapping map_file(int fd, std::size_t size, int protection) noexcept {
  void* const at = ::mmap(nullptr, size, protection, MAP_SHARED, fd, 0);
  return at == MAP_FAILED ? mapping{nullptr, -errno} : mapping{at, 0};
}

inline int watch_files() noexcept {
  return once([&] { return ::inotify_init1(IN_NONBLOCK | IN_CLOEXEC); });
}
inline int watch_file(int watch, const char* path, std::uint32_t events) noexcept {
  return once([&] { return ::inotify_add_watch(watch, path, events); });
}

inline int listen(int fd, int backlog) noexcept {
  return once([&] { return ::listen(fd, backlog); });
}
inline int accept(int fd) noexcept {
  return repeat([&] { return ::accept4(fd, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK); });
}
/// Bytes of memory that the other end of a Unix socket has not read yet, or -errno (unix(7), SIOCOUTQ).
inline int unread_by_peer(int fd) noexcept {
  int bytes = 0;
  const int told = once([&] { return ::ioctl(fd, SIOCOUTQ, &bytes); });
  return told < 0 ? told : bytes;
}
/// Of a pipe: bytes that wait to be read, or -errno.
inline int waiting_in_pipe(int fd) noexcept {
  int bytes = 0;
  const int told = once([&] { return ::ioctl(fd, FIONREAD, &bytes); });
  return told < 0 ? told : bytes;
}
/// Nothing more is taken by this end: who sends to it is told so (EPIPE). What it has already may still be read.
inline int stop_receiving(int fd) noexcept {
  return once([&] { return ::shutdown(fd, SHUT_RD); });
}
/// A pidfd of the process that getsockopt(SO_PEERCRED) names; since Linux 6.5. -ESRCH: it has ended.
inline int peer_pidfd(int fd, int& pidfd) noexcept {
  constexpr int option = 77;  // SO_PEERPIDFD
  return getsockopt(fd, SOL_SOCKET, option, pidfd);
}
/// Of Unix sockets; closed on exec.
inline int socket_pair(int type, int ends[2]) noexcept {
  return once([&] { return ::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends); });
}

}  // namespace udppump::sys
