#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "pool/pool_sockets.hpp"
#include "socket/receive.hpp"

namespace udppump::detail {

/// Sees that programs have taken nothing from a socket although something waits there. The parent does not know what
/// each of them takes; but the oldest datagram of a queue, which it tells by the kernel's stamp (SO_TIMESTAMP), its
/// sender and its bytes, stays the oldest as long as nobody takes any. So it judges all who serve a socket together,
/// and none of them if anything was taken from any socket that they serve. If these are several, one from which nobody
/// was seen to take is no reason: programs need not serve all that they get.
class untaken_watch {
 public:
  using clock = std::chrono::steady_clock;

  /// `sockets` outlives it.
  explicit untaken_watch(const pool_sockets& sockets);

  /// Looks at each queue; a few times in the time that is judged by, at least, while anything waits.
  void look(clock::time_point now);

  struct stuck {
    std::chrono::nanoseconds time;
    /// Of the socket, for the log.
    std::string where;
  };
  /// Of a worker that serves these lanes (a bit each), and has served since then: if what waits has waited for it for
  /// `most`, and nothing was taken meanwhile.
  std::optional<stuck> judge(std::uint32_t lanes, clock::time_point serves_since, std::chrono::nanoseconds most,
                             clock::time_point now) const;

 private:
  struct watched {
    const datagram_socket* socket;
    receiver from;
    std::optional<queue_head> oldest = {};
    clock::time_point oldest_since = {};
    bool was_served = false;
    clock::time_point taken_at = {};  // something, by anyone
  };
  const pool_sockets& sockets_;
  std::vector<watched> all_;  // in the same order
};

}  // namespace udppump::detail
