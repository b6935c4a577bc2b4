#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "pool/board.hpp"
#include "pool/pool_log.hpp"
#include "pool/receive_limit.hpp"
#include "socket/arrival_clock.hpp"
#include "socket/receive.hpp"
#include "udppump/datagram_socket.hpp"
#include "udppump/lanes.hpp"

namespace udppump::detail {

/// Sees that more comes than is served. Says so, once a minute at most for each socket; and, of programs with a
/// max_wait, keeps the receive buffer at what is served in that time. In the parent, which takes nothing: what it knows
/// is how full a queue is (SO_MEMINFO), and since when its oldest datagram waits (MSG_PEEK).
///
/// While something waits, and for a while after, it looks often; else never, until a socket is readable.
class backlog {
 public:
  using clock = std::chrono::steady_clock;
  static constexpr std::chrono::minutes between_lines{1};
  /// The shortest time for which common clients wait before they ask again is a second: whoever is served after half of
  /// that has little left for the answer's way, and what waits longer in a queue that is no shorter is late.
  static constexpr std::chrono::milliseconds tells_from{500};

  struct rules {
    /// The parent does not know what programs take, and has their sockets' datagrams stamped only with `max_wait`.
    bool programs = false;
    std::chrono::nanoseconds max_age{0}, max_wait{0};
    std::size_t workers = 1;
    std::span<const lane> lanes = {};
  };

  /// All outlive it. How long what waits has waited is shown on the board.
  backlog(const board& shared, const std::vector<datagram_socket>& sockets, const rules& chosen, const pool_log& log);
  /// Buffers are as large again as they may become.
  ~backlog();
  backlog(const backlog&) = delete;
  backlog& operator=(const backlog&) = delete;

  /// Sockets to poll for reading, and to tell of by arrived(); none while it looks by itself.
  std::span<const int> wants_to_know() const noexcept;
  void arrived(clock::time_point now) noexcept;
  /// When to call measure_queues(); the end of time if that depends on an arrival.
  clock::time_point next() const noexcept { return next_; }
  void measure_queues(clock::time_point now);
  /// As many as there are to be now.
  void set_workers(std::size_t workers) noexcept { rules_.workers = workers; }
  /// In the log, once a minute at most: how many datagrams pumps have dropped. measure_queues() does it as well.
  void tell_of_drops(clock::time_point now);

 private:
  struct watched {
    const datagram_socket* socket;
    receiver from;
    std::optional<receive_limit> limit = {};
    arrival_clock arrivals = {};
    bool is_stamped = false;
    unsigned full_looks = 0;
    std::uint32_t drops = 0;
    clock::time_point next_line = clock::time_point::min();
    std::uint64_t untold_drops = 0;
    std::string name = {};  // for the log
    std::chrono::nanoseconds max_age{0};
    std::uint64_t expired = 0;
    clock::time_point expires_until = clock::time_point::min();  // its lane's pumps drop what is too old
  };

  bool look_at(watched& one, clock::time_point now);
  void show_age(const watched& one, std::chrono::nanoseconds waits, clock::time_point now) const noexcept;
  void log_backlog(watched& one, std::chrono::nanoseconds waits, clock::time_point now);
  /// Datagrams that workers dropped for one reason: how many of them the log has told, and when it may tell more.
  struct drop_count {
    shared_count lane_counts::*which;
    std::uint64_t told = 0;
    clock::time_point next_line = clock::time_point::min();
  };
  /// How many are to be told now, which they then count as; 0: none.
  std::uint64_t take_untold(drop_count& drops, clock::time_point now) const;

  const board& shared_;
  rules rules_;
  const pool_log& log_;
  std::vector<int> descriptors_;
  std::vector<watched> watched_;
  clock::duration interval_;
  clock::time_point next_ = clock::time_point::max();
  unsigned quiet_looks_ = 0;
  clock::time_point counted_at_ = clock::time_point::min();
  std::uint64_t counted_ = 0;
  std::optional<double> a_second_;  // that all workers take
  drop_count expired_{&lane_counts::expired};
  drop_count limited_{&lane_counts::limited};
};

}  // namespace udppump::detail
