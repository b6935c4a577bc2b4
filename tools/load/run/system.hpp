#pragma once

#include <cerrno>
#include <string>
#include <string_view>
#include <system_error>

#include "udppump/failure.hpp"

namespace udppump::load {

inline std::error_code code_of_errno(int error) { return {error, std::generic_category()}; }

/// A system call that was refused, most often for want of something, and what helps.
inline failure failed_call(std::string_view call, std::error_code why) {
  const int error = why.category() == std::generic_category() ? why.value() : 0;
  const char* cure = "try again; if it fails again, run it under `strace -f`, and report the call that fails";
  if (error == EMFILE || error == ENFILE) cure = "raise the limit of open files (ulimit -n)";
  if (error == ENOMEM || error == ENOBUFS) cure = "free some memory, or raise the limit of the container or unit";
  if (error == ENOSPC) cure = "raise the user's limit (sysctl fs.epoll.max_user_watches)";
  if (error == EAGAIN) cure = "raise the limit of processes (ulimit -u), or ask for fewer";
  if (error == EPERM || error == EACCES) cure = "allow it: a seccomp profile or a security module may forbid it";
  return {why, std::string{call}, cure};
}

/// The result of a system call, or a failure if it is negative.
template <class Result>
Result check_call(Result result, std::string_view call) {
  if (result < 0) throw failed_call(call, code_of_errno(errno));
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
