#pragma once

#include <sys/signalfd.h>

#include <cstdint>
#include <optional>
#include <string>

namespace udppump::detail {

/// What a SIGTTIN or SIGTTOU asks for: so many workers more, or a number of them.
struct scale_order {
  /// Claimed by whoever sent it: anything. Of a change by one, what that makes of `workers`.
  std::int64_t workers;
  /// Who asks, for the log.
  std::string asked_by;

  /// kill(2): SIGTTIN one more than `now`, SIGTTOU one fewer. sigqueue(3): SIGTTIN with the number itself. Nothing of a
  /// signal that no process sent: the kernel sends both to who uses a terminal in the background.
  static std::optional<scale_order> of(const signalfd_siginfo& came, std::size_t now);
};

}  // namespace udppump::detail
