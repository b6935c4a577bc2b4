#include "socket/arrival_signal.hpp"

#include <csignal>

#include "sys/sys_process.hpp"

namespace udppump::detail {

std::string arrival_signal::to_string() const {
  const std::string signal = "signal " + std::to_string(number == 0 ? SIGIO : number);
  if (receiver == 0) return signal + " to a process that has ended";
  return signal + " to process " + (is_for_group ? "group " : "") + std::to_string(receiver);
}

arrival_signal arrival_signal_of(int fd) noexcept {
  const int flags = sys::file_flags(fd);
  f_owner_ex owner{};
  if (flags < 0 || sys::file_owner(fd, owner) < 0) return {};
  return {.is_sent = (flags & O_ASYNC) != 0,
          .number = sys::file_signal(fd),
          .receiver = owner.pid,
          .is_for_group = owner.type == F_OWNER_PGRP};
}

int clear_arrival_signal(int fd) noexcept {
  const int flags = sys::file_flags(fd);
  const int stopped = flags < 0 ? flags : sys::set_file_flags(fd, flags & ~O_ASYNC);
  static_cast<void>(sys::set_file_owner(fd, {F_OWNER_PID, 0}));
  static_cast<void>(sys::set_file_signal(fd, 0));
  return stopped;
}

}  // namespace udppump::detail
