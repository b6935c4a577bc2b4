#include "pool/stray_signal.hpp"

#include <signal.h>

#include "sys/sys_process.hpp"

namespace udppump::detail {

namespace {

constexpr int strays[] = {SIGUSR1, SIGALRM, SIGVTALRM, SIGPROF, SIGPIPE, SIGIO, SIGPWR, SIGSTKFLT, SIGXCPU, SIGXFSZ};

std::string name_of(int signal) {
  switch (signal) {
    case SIGUSR1:
      return "SIGUSR1";
    case SIGALRM:
      return "SIGALRM";
    case SIGVTALRM:
      return "SIGVTALRM";
    case SIGPROF:
      return "SIGPROF";
    case SIGPIPE:
      return "SIGPIPE";
    case SIGIO:
      return "SIGIO";
    case SIGPWR:
      return "SIGPWR";
    case SIGSTKFLT:
      return "SIGSTKFLT";
    case SIGXCPU:
      return "SIGXCPU";
    case SIGXFSZ:
      return "SIGXFSZ";
    default:
      return "signal " + std::to_string(signal);
  }
}

/// kill(2) and tgkill(2): the kernel then says who it was. With sigqueue(3), the sender does (rt_sigqueueinfo(2)).
bool names_its_sender(int code) noexcept { return code == SI_USER || code == SI_TKILL; }

}  // namespace

std::span<const int> stray_signals() noexcept { return strays; }

bool is_own_alarm(const signalfd_siginfo& came) noexcept {
  const auto signal = static_cast<int>(came.ssi_signo);
  // Nobody else can give this code (rt_sigqueueinfo(2)).
  return (signal == SIGALRM || signal == SIGVTALRM || signal == SIGPROF) && came.ssi_code == SI_KERNEL;
}

std::string sender_of_signal(const signalfd_siginfo& came) {
  const auto pid = static_cast<pid_t>(came.ssi_pid);
  if (!names_its_sender(came.ssi_code) || pid <= 0) return "a process that is not known";
  return "process " + std::to_string(pid) + " of user " + std::to_string(came.ssi_uid);
}

std::string account_of_stray(const signalfd_siginfo& came) {
  const auto pid = static_cast<pid_t>(came.ssi_pid);
  const auto signal = static_cast<int>(came.ssi_signo);
  if (came.ssi_code > 0) return {};
  if (pid == sys::process_id()) return {};  // SIGPIPE and SIGXFSZ come so, if it has written
  return name_of(signal) + " from " + sender_of_signal(came) + " means nothing here, and is ignored";
}

}  // namespace udppump::detail
