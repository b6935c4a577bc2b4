#pragma once

#include <sys/types.h>

#include <chrono>
#include <string>
#include <vector>

#include "udppump/descriptor.hpp"

namespace udppump::detail {

/// Where programs say that they serve, and go on: "READY=1" and "WATCHDOG=1" in a datagram (sd_notify(3)). A Unix
/// socket with an abstract name, to which whoever is in the same network namespace can send: of a message, only who
/// sent it is believed, as the kernel tells that (SCM_CREDENTIALS, unix(7)), and what it says of itself. Nothing here
/// waits, and a flood costs no more than so many messages in so much time.
class notify_socket {
 public:
  using clock = std::chrono::steady_clock;
  static constexpr int most_at_once = 64;
  static constexpr std::chrono::milliseconds pause{20};
  /// What systemd takes (NOTIFY_BUFFER_MAX); of a longer one nothing is believed.
  static constexpr std::size_t longest = 4096;

  /// Throws std::system_error.
  notify_socket();

  int fd() const noexcept { return socket_.fd(); }
  /// As NOTIFY_SOCKET has it: "@...".
  const std::string& name() const noexcept { return name_; }

  struct word {
    pid_t pid;
    bool is_ready;  // READY=1
    bool goes_on;   // WATCHDOG=1
  };
  /// What processes have said of themselves, in order.
  std::vector<word> take(clock::time_point now);
  /// It is to be polled from then on.
  clock::time_point polled_from() const noexcept { return polled_from_; }

 private:
  descriptor socket_;
  std::string name_;
  clock::time_point polled_from_ = clock::time_point::min();
};

}  // namespace udppump::detail
