#pragma once

#include <sys/types.h>

#include <string>

#include "udppump/export.hpp"

namespace udppump::detail {

/// The signal that the kernel sends whenever something happens at a descriptor (fcntl(2): O_ASYNC, F_SETOWN, F_SETSIG).
/// It belongs to the open file: whoever has the socket sets it for all, it outlives him, and it may be SIGKILL.
struct UDPPUMP_EXPORT arrival_signal {
  bool is_sent = false;
  int number = 0;             // 0: SIGIO
  pid_t receiver = 0;         // 0: nobody, or one that has ended or cannot be seen from here
  bool is_for_group = false;  // the receiver is a process group

  bool is_prepared() const noexcept { return number != 0 || receiver != 0; }
  /// "signal 9 to process 1234".
  std::string to_string() const;
};

UDPPUMP_EXPORT arrival_signal arrival_signal_of(int fd) noexcept;
/// From now on none is sent, and there is neither a number nor a receiver. 0 or -errno.
UDPPUMP_EXPORT int clear_arrival_signal(int fd) noexcept;

}  // namespace udppump::detail
