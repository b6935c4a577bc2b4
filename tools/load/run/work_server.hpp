#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "load/plan/clock.hpp"
#include "load/run/work_service.hpp"
#include "load/run/worker_loop.hpp"
#include "udppump/datagram_socket.hpp"
#include "udppump/waiter.hpp"

namespace udppump::load {

enum class queue_kind {
  /// One socket for all workers, each with a pump on it.
  shared,
  /// SO_REUSEPORT: a socket for each worker, with a pump on it; the kernel chooses by a hash of the client's address.
  sharded,
  /// One socket for all workers, each with an epoll of its own on it, not exclusive: every arrival wakes every idle
  /// one.
  herd,
  /// Two sockets for all workers (udppump/lanes.hpp): one for short requests, which each worker serves first, one for
  /// all others.
  lanes,
};

/// "shared", "sharded", "herd" or "lanes".
std::string_view to_string(queue_kind kind) noexcept;

struct work_options {
  address bind = {};
  queue_kind queue = queue_kind::shared;
  service_mode service = service_mode::sleep;
  /// Of the pumps; herd has none.
  waiter_kind waiter = waiter_kind::automatic;
  /// What the pumps drop. Memory that it shares is of before the workers: they hold each client to its limit together.
  drop_rules drops = {};
  std::uint16_t workers = 4;
  /// Of lanes: requests that ask for this much at most are short.
  nanoseconds short_limit = std::chrono::milliseconds{1};
  /// Of lanes: how many workers serve short requests only; fewer than `workers`.
  std::size_t reserve = 0;
  /// Bytes asked for each socket; sharded workers and lanes divide it, so that all ways can hold the same.
  std::size_t receive_buffer = 4 << 20;
};

/// Forked processes that answer work requests on one port. They end with their parent, and with this object.
class work_server {
 public:
  /// Returns when all workers serve. Throws std::invalid_argument if none would, or none the long requests, and
  /// std::system_error or std::runtime_error if one cannot. The process must
  /// have one thread only: what others hold would be held for ever in the children.
  explicit work_server(const work_options& options);
  ~work_server();
  work_server(const work_server&) = delete;
  work_server& operator=(const work_server&) = delete;

  /// The address bound to, with the port that was chosen.
  const address& local() const noexcept { return local_; }
  /// What the workers wait with: "uring", "thread", "poll" or "epoll".
  const std::string& waiter() const noexcept { return waiter_; }
  /// Why the receive buffers are not larger; empty if they are what was asked for.
  const std::string& receive_buffer_shortfall() const noexcept { return shortfall_; }
  std::size_t workers() const noexcept { return processes_.size(); }

  /// Requests answered, and datagrams that were none, by worker; since the start.
  std::vector<std::uint64_t> served() const;
  std::uint64_t refused() const noexcept;
  /// Requests that were dropped as they had waited longer than max_age.
  std::uint64_t expired() const noexcept;
  /// Those that were dropped as their clients had sent too many.
  std::uint64_t limited() const noexcept;
  /// Service times really used, as a multiple of those asked for; 1 if nothing was asked for.
  double stretch() const noexcept;
  /// How often the workers' threads went off their processor, of their own will or not, since the start (proc(5)).
  std::uint64_t context_switches() const;
  /// A worker that has ended, and how, told once; nothing while all live.
  std::optional<std::string> ended();

 private:
  struct worker_counts;
  struct unmap {
    std::size_t size;
    void operator()(worker_counts* counts) const noexcept;
  };
  void start(const work_options& options, std::vector<datagram_socket>& sockets);
  void kill_all() noexcept;

  address local_;
  std::string waiter_;
  std::string shortfall_;
  std::vector<pid_t> processes_;  // -1 for one that has ended
  std::unique_ptr<worker_counts[], unmap> counts_;
};

}  // namespace udppump::load
