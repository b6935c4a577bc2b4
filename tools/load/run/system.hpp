#pragma once

#include <cerrno>
#include <string>
#include <string_view>
#include <system_error>

namespace udppump::load {

/// What failed, and what helps: system calls are refused most often for want of something.
inline std::string with_cure(std::string_view call, int error) {
  const char* cure = "; try again; if it fails again, run it under `strace -f`, and report the call that fails";
  if (error == EMFILE || error == ENFILE) cure = "; raise the limit of open files (ulimit -n)";
  if (error == ENOMEM || error == ENOBUFS) cure = "; free some memory, or raise the limit of the container or unit";
  if (error == ENOSPC) cure = "; raise the user's limit (sysctl fs.epoll.max_user_watches)";
  if (error == EAGAIN) cure = "; raise the limit of processes (ulimit -u), or ask for fewer";
  if (error == EPERM || error == EACCES) cure = "; allow it: a seccomp profile or a security module may forbid it";
  return std::string{call} + cure;
}

/// The result of a system call, or std::system_error with `what`, which names the cure, if it is negative.
template <class Result>
Result check(Result result, std::string_view what) {
  if (result < 0) throw std::system_error{errno, std::generic_category(), std::string{what}};
  return result;
}

/// The same for a call whose error says what helps.
template <class Result>
Result check_call(Result result, std::string_view call) {
  if (result < 0) throw std::system_error{errno, std::generic_category(), with_cure(call, errno)};
  return result;
}

/// Makes a system call again as long as a signal interrupts it.
template <class Call>
auto repeat(Call call) noexcept -> decltype(call()) {
  for (;;) {
    const auto result = call();
    if (result >= 0 || errno != EINTR) return result;
  }
}

}  // namespace udppump::load
