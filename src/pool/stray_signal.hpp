#pragma once

#include <sys/signalfd.h>

#include <span>
#include <string>

namespace udppump::detail {

/// Signals that would end a process which does not expect them, and that say nothing to a pool's parent: SIGUSR1 and
/// others that an operator or a program may send by mistake, and those that a worker can have the kernel send. The
/// real-time signals are such as well.
std::span<const int> stray_signals() noexcept;

/// Whether a program's own timer has run out, as of `timeout=60; alarm(timeout); exec(...)`: whoever set it wants the
/// end of the process.
bool is_own_alarm(const signalfd_siginfo& came) noexcept;

/// "process 12 of user 0", if the kernel tells who sent it.
std::string sender_of_signal(const signalfd_siginfo& came);

/// What is to be said of one; empty if nothing is, as the kernel sent it for something that is looked at elsewhere.
/// Names the sender if the kernel does, which a sender by sigqueue(3) may prevent.
std::string account_of_stray(const signalfd_siginfo& came);

}  // namespace udppump::detail
