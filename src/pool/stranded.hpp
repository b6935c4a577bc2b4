#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

#include "pool/board.hpp"
#include "udppump/datagram_socket.hpp"

namespace udppump::detail {

/// Finds wake-ups that went to a worker who cannot use them: a socket that stays readable beside workers who are idle.
/// It looks every 10 ms; what it finds it looks at again 2 ms later, since a worker may just be waking; those that are
/// still idle by then, and have received nothing in between, are told to look at their sockets.
class stranded_watch {
 public:
  using clock = std::chrono::steady_clock;

  /// All outlive this object.
  stranded_watch(board& shared, const std::vector<datagram_socket>& sockets);

  clock::time_point next() const noexcept { return next_; }
  /// To be called when next() has come. Returns how many workers were kicked.
  unsigned look(clock::time_point now);

 private:
  bool something_waits() const noexcept;

  board& shared_;
  std::vector<int> descriptors_;
  clock::time_point next_;
  struct suspect {
    std::size_t page;
    std::uint64_t received;
  };
  std::vector<suspect> suspects_;
};

}  // namespace udppump::detail
