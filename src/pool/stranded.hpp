#pragma once

#include <poll.h>

#include <chrono>
#include <cstdint>
#include <span>
#include <vector>

#include "pool/board.hpp"
#include "udppump/datagram_socket.hpp"

namespace udppump::detail {

/// Finds wake-ups that went to a worker who cannot use them: a socket that stays readable beside workers who are idle.
///
/// While something arrives it looks every 10 ms. What it finds it looks at again 2 ms later, since a worker may just be
/// waking; those that are still idle by then, and have taken nothing in between, are told to look at their sockets.
/// When nothing has come for a while it costs nothing: the parent then sleeps until a socket is readable.
class stranded_watch {
 public:
  using clock = std::chrono::steady_clock;

  /// All outlive this object.
  stranded_watch(board& shared, const std::vector<datagram_socket>& sockets);

  /// Sockets to poll for reading, and to tell of by arrived(); none while it looks by itself.
  std::span<const int> wants_to_know() const noexcept;
  void arrived(clock::time_point now) noexcept;

  /// When to call kick_idle_workers(); the end of time if that depends on an arrival.
  clock::time_point next() const noexcept { return next_; }
  /// Returns how many workers were kicked.
  unsigned kick_idle_workers(clock::time_point now);

 private:
  void look_what_waits() noexcept;
  bool something_waits() const noexcept;
  bool something_waits_for(const worker_page& page) const noexcept;

  board& shared_;
  const std::vector<datagram_socket>& sockets_;
  std::vector<int> descriptors_;
  std::vector<pollfd> set_;
  clock::time_point next_ = clock::time_point::max();
  std::uint64_t taken_before_ = 0;
  unsigned quiet_looks_ = 0;
  struct suspect {
    std::size_t page;
    std::uint64_t taken;
  };
  std::vector<suspect> suspects_;
};

}  // namespace udppump::detail
