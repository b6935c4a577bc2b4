#pragma once

// What the worker pool asks of the kernel besides sockets: processes, signals, shared memory. As sys.hpp: each returns
// what the call returns, or -errno, and EINTR is decided here.

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sys/sys.hpp"

namespace udppump::sys {

inline pid_t fork() noexcept {
  return once([&] { return ::fork(); });
}
/// The child's id and its status, 0 while it runs, or -errno.
struct reaped {
  pid_t pid;
  int status;
};
inline reaped waitpid(pid_t pid) noexcept {
  int status = 0;
  const pid_t ended = repeat([&] { return ::waitpid(pid, &status, WNOHANG); });
  return {ended, status};
}
inline int kill(pid_t pid, int signal) noexcept {
  return once([&] { return ::kill(pid, signal); });
}
/// setpgid(2); 0 stands for the calling process.
inline int join_group(pid_t pid, pid_t group) noexcept {
  return once([&] { return ::setpgid(pid, group); });
}
inline int memory_file(const char* name) noexcept {
  return once([&] { return ::memfd_create(name, MFD_CLOEXEC); });
}
inline int truncate(int fd, std::size_t size) noexcept {
  return repeat([&] { return ::ftruncate(fd, static_cast<off_t>(size)); });
}
inline int signal_descriptor(const sigset_t& signals) noexcept {
  return once([&] { return ::signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC); });
}
inline int set_close_on_exec(int fd, bool on) noexcept {
  return once([&] { return ::fcntl(fd, F_SETFD, on ? FD_CLOEXEC : 0); });
}
inline int limit(int resource, const rlimit& wanted) noexcept {
  return once([&] { return ::setrlimit(static_cast<__rlimit_resource>(resource), &wanted); });
}
inline int open(const char* path, int flags, mode_t mode = 0) noexcept {
  return repeat([&] { return ::open(path, flags | O_CLOEXEC, mode); });
}
inline int listen(int fd, int backlog) noexcept {
  return once([&] { return ::listen(fd, backlog); });
}
inline int accept(int fd) noexcept {
  return repeat([&] { return ::accept4(fd, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK); });
}

}  // namespace udppump::sys
