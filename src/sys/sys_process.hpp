#pragma once

// What the worker pool asks of the kernel besides sockets: processes, signals, limits. As sys.hpp: each returns what
// the call returns, or -errno, and EINTR is decided here.

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ctime>

#include "sys/sys.hpp"

namespace udppump::sys {

inline pid_t process_id() noexcept { return ::getpid(); }
inline pid_t parent_id() noexcept { return ::getppid(); }
inline pid_t thread_id() noexcept { return ::gettid(); }

inline pid_t fork() noexcept {
  return once([&] { return ::fork(); });
}
/// Ends a forked child, without the destructors and exit handlers that are the parent's.
[[noreturn]] inline void end_child(int status) noexcept { ::_exit(status); }
/// Comes back only if it fails.
inline int execute(const char* path, char* const* arguments, char* const* environment) noexcept {
  return once([&] { return ::execve(path, arguments, environment); });
}
/// The child's id and its status, 0 while it runs, or -errno.
struct reaped {
  pid_t pid;
  int status;
};
/// One that has asked to be traced (ptrace(2), PTRACE_TRACEME) is reported when it stops, too, and would go on when
/// this process ends: it is killed.
inline reaped waitpid(pid_t pid, int options = WNOHANG) noexcept {
  for (;;) {
    int status = 0;
    const pid_t found = repeat([&] { return ::waitpid(pid, &status, options); });
    if (found <= 0 || !WIFSTOPPED(status)) return {found, status};
    if (::kill(found, SIGKILL) < 0) return {0, 0};
  }
}
/// Waits until the child has ended.
inline reaped wait_for(pid_t pid) noexcept { return waitpid(pid, 0); }
/// The calling process leads a session and a process group, whose number is its own, and has no controlling terminal
/// (setsid(2)).
inline pid_t begin_session() noexcept {
  return once([&] { return ::setsid(); });
}
/// Which session a process is in; not of those that have ended.
inline pid_t session_of(pid_t pid) noexcept {
  return once([&] { return ::getsid(pid); });
}
/// Whether this process becomes the parent of all that descend from it and lose theirs (PR_SET_CHILD_SUBREAPER).
inline int adopt_orphans(bool on) noexcept {
  return once([&] { return ::prctl(PR_SET_CHILD_SUBREAPER, on ? 1 : 0, 0, 0, 0); });
}
/// The calling process gets this signal when its parent ends. Cleared by a change of user and by executing a program
/// with the set-user-id bit (prctl(2)).
inline int signal_on_parents_end(int signal) noexcept {
  return once([&] { return ::prctl(PR_SET_PDEATHSIG, signal); });
}

/// The process group that the calling process leads gets this signal whenever there is news at this end of a pipe,
/// which includes that the last one who could write has closed the other (fcntl(2), F_SETSIG and O_ASYNC). Holds across
/// a change of user, across execve(2) and without the leader, as long as anybody has this end open.
inline int signal_group_on_news(int pipe_end, int signal) noexcept {
  if (const int owned = once([&] { return ::fcntl(pipe_end, F_SETOWN, -::getpid()); }); owned < 0) return owned;
  if (const int set = once([&] { return ::fcntl(pipe_end, F_SETSIG, signal); }); set < 0) return set;
  return once([&] { return ::fcntl(pipe_end, F_SETFL, O_NONBLOCK | O_ASYNC); });
}

/// Nobody is sent a signal for news there any more, whoever has it open.
inline int end_signals_on_news(int pipe_end) noexcept {
  return once([&] { return ::fcntl(pipe_end, F_SETFL, O_NONBLOCK); });
}

/// What belongs to an open file, and so to all who have it: flags (F_GETFL), and who is sent which signal when there is
/// news if O_ASYNC is among them; signal 0 stands for SIGIO.
inline int file_flags(int fd) noexcept {
  return once([&] { return ::fcntl(fd, F_GETFL); });
}
inline int set_file_flags(int fd, int flags) noexcept {
  return once([&] { return ::fcntl(fd, F_SETFL, flags); });
}
inline int file_owner(int fd, f_owner_ex& owner) noexcept {
  return once([&] { return ::fcntl(fd, F_GETOWN_EX, &owner); });
}
inline int set_file_owner(int fd, const f_owner_ex& owner) noexcept {
  return once([&] { return ::fcntl(fd, F_SETOWN_EX, &owner); });
}
inline int file_signal(int fd) noexcept {
  return once([&] { return ::fcntl(fd, F_GETSIG); });
}
inline int set_file_signal(int fd, int signal) noexcept {
  return once([&] { return ::fcntl(fd, F_SETSIG, signal); });
}

inline int kill(pid_t pid, int signal) noexcept {
  return once([&] { return ::kill(pid, signal); });
}
/// `how` as pthread_sigmask(3) has it; of the calling thread.
inline int signal_mask(int how, const sigset_t& signals, sigset_t* before = nullptr) noexcept {
  return -::pthread_sigmask(how, &signals, before);
}
/// As if it came now and were not blocked, for the calling thread; comes back if something handles or ignores it.
inline void take_signal(int signal) noexcept {
  sigset_t one;
  sigemptyset(&one);
  sigaddset(&one, signal);
  static_cast<void>(signal_mask(SIG_UNBLOCK, one));
  static_cast<void>(::raise(signal));
  static_cast<void>(signal_mask(SIG_BLOCK, one));
}
inline int signal_action(int signal, const struct sigaction& action, struct sigaction* before = nullptr) noexcept {
  return once([&] { return ::sigaction(signal, &action, before); });
}
/// What the process does about a signal.
inline int signal_disposition(int signal, struct sigaction& now) noexcept {
  return once([&] { return ::sigaction(signal, nullptr, &now); });
}
/// Takes one that is pending, and does not wait: its number, or -EAGAIN.
inline int take_pending(const sigset_t& signals) noexcept {
  const timespec at_once{};
  return repeat([&] { return ::sigtimedwait(&signals, nullptr, &at_once); });
}
inline int signal_descriptor(const sigset_t& signals) noexcept {
  return once([&] { return ::signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC); });
}

inline int set_close_on_exec(int fd, bool on) noexcept {
  return once([&] { return ::fcntl(fd, F_SETFD, on ? FD_CLOEXEC : 0); });
}
/// Closes all from `first` to `last`; -ENOSYS before Linux 5.9, or what a seccomp profile says.
inline int close_range(unsigned first, unsigned last) noexcept {
  return static_cast<int>(once([&] { return ::syscall(SYS_close_range, first, last, 0); }));
}
/// Another descriptor of the same file, `at_least` or above; closed on exec.
inline int duplicate(int fd, int at_least) noexcept {
  return once([&] { return ::fcntl(fd, F_DUPFD_CLOEXEC, at_least); });
}
/// The same as descriptor `target`; not closed on exec.
inline int duplicate_onto(int fd, int target) noexcept {
  return repeat([&] { return ::dup2(fd, target); });
}

inline int limit(int resource, const rlimit& wanted) noexcept {
  return once([&] { return ::setrlimit(static_cast<__rlimit_resource>(resource), &wanted); });
}
inline int current_limit(int resource, rlimit& now) noexcept {
  return once([&] { return ::getrlimit(static_cast<__rlimit_resource>(resource), &now); });
}
/// Of the calling thread, on Linux (setpriority(2), "C library/kernel differences").
inline int set_nice(int level) noexcept {
  return once([&] { return ::setpriority(PRIO_PROCESS, 0, level); });
}
/// A level from -20 to 19; it cannot fail for the calling thread.
inline int nice() noexcept { return ::getpriority(PRIO_PROCESS, 0); }
/// Of the calling thread.
inline int set_cores(const cpu_set_t& cores) noexcept {
  return once([&] { return ::sched_setaffinity(0, sizeof cores, &cores); });
}
inline int cores(std::size_t size, cpu_set_t& mask) noexcept {
  return once([&] { return ::sched_getaffinity(0, size, &mask); });
}

}  // namespace udppump::sys
