#include "peers/drainers.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "peers/asio_coroutine_loop.hpp"
#include "peers/asio_loop.hpp"
#include "peers/epoll_loop.hpp"
#include "peers/libevent_loop.hpp"
#include "peers/libuv_loop.hpp"
#include "peers/recvfrom_loop.hpp"
#include "peers/recvmmsg_loop.hpp"
#include "peers/recvmsg_loop.hpp"
#include "peers/seed_2006_loop.hpp"
#include "peers/udppump_loops.hpp"
#include "peers/uring_multishot_loop.hpp"
#include "support/client.hpp"
#include "support/contenders.hpp"

namespace bench {
namespace {

using udppump::waiter_kind;

/// Datagrams before the clock starts: everybody's buffers are touched, also if there are 256 of them.
constexpr std::size_t warm_up = 320;

/// Design of 2006: each takes a hundred times as long as elsewhere.
constexpr std::size_t most_of_seed = 512;

struct stopwatch {
  queue_filler* filler;
  std::size_t count, left;
  bool timing = false;
  nanoseconds started{0}, stopped{0};
};

/// The trivial handler: counts. With the last datagram of the warm-up nothing waits and nobody has taken anything
/// early: it fills the queue, and the clock starts. With the last one the clock and the peer stop.
struct countdown {
  stopwatch* watch;

  bool operator()(auto&) const {
    if (--watch->left > 0) return true;
    if (watch->timing) {
      watch->stopped = cpu_time();
      return false;
    }
    watch->left = watch->count = watch->filler->fill(watch->count);
    watch->timing = true;
    watch->started = cpu_time();
    return true;
  }
};

/// By itself for `valgrind --tool=callgrind --toggle-collect='*serve_filled_queue*'`.
[[gnu::noinline]] void serve_filled_queue(auto& peer) { peer.serve(); }

template <template <class> class Peer>
drainer with(std::string name, auto... setup) {
  return {std::move(name),
          [setup...](std::span<udppump::datagram_socket> sockets, queue_filler& filler, std::size_t count) {
            count = std::min(count, filler.capacity());
            stopwatch watch{.filler = &filler, .count = count, .left = filler.fill(std::min(warm_up, count))};
            {
              Peer<countdown> peer{sockets, countdown{&watch}, setup...};
              serve_filled_queue(peer);
            }
            filler.discard_all();
            return static_cast<double>((watch.stopped - watch.started).count()) / static_cast<double>(watch.count);
          }};
}

drainer at_most(std::size_t most, drainer limited) {
  limited.drain = [most, drain = std::move(limited.drain)](std::span<udppump::datagram_socket> sockets,
                                                           queue_filler& filler, std::size_t count) {
    return drain(sockets, filler, std::min(most, count));
  };
  return limited;
}

}  // namespace

std::vector<udppump::datagram_socket> socket_to_fill() {
  std::vector<udppump::datagram_socket> sockets;
  sockets.push_back(bind_loopback(64 << 20));
  return sockets;
}

std::vector<drainer> all_drainers() {
  using udp_receive = libuv_loop<countdown>::receives_by;
  std::vector<drainer> all{
      with<recvfrom_loop>("recvfrom", waits_by::polling),
      with<recvfrom_loop_beside_thread>("recvfrom-beside-thread", waits_by::polling),
      with<recvmsg_loop>("recvmsg"),
      with<recvmmsg_loop>("recvmmsg"),
      with<epoll_loop>("epoll"),
      with<libevent_loop>("libevent"),
      with<libuv_loop>("libuv", udp_receive::recvmsg),
      with<libuv_loop>("libuv-recvmmsg", udp_receive::recvmmsg),
      with<asio_loop>("asio"),
      with<asio_coroutine_loop>("asio-coroutine"),
      at_most(most_of_seed, with<seed_2006_loop>("seed-2006")),
  };
  const auto waiters = available_waiters();
  if (std::ranges::find(waiters, waiter_kind::uring) != waiters.end()) {
    all.push_back(with<uring_multishot_loop>("uring-multishot"));
  }
  for (const auto waiter : waiters) {
    if (!serves_event_loops(waiter)) continue;
    all.push_back(with<udppump_dispatch>(fmt::format("udppump-dispatch-{}", udppump::to_string(waiter)), waiter));
  }
  all.push_back(with<udppump_run>("udppump-run", waiter_kind::automatic));
  all.push_back(with<udppump_run>("udppump-run-max_age", waiter_kind::automatic, std::chrono::hours{1}));
  // No more than a filled queue is ever over it.
  all.push_back(with<udppump_run>("udppump-run-client_limit", waiter_kind::automatic, std::chrono::hours{0},
                                  udppump::client_limit{{.rate = 1e6, .burst = 1'000'000}}));
  // One client fills the queue, so that it is behind, and has more than its share: each datagram is looked up.
  all.push_back(with<udppump_run>("udppump-run-client_share", waiter_kind::automatic, std::chrono::hours{0},
                                  udppump::client_limit{}, udppump::client_share::equal(), drops_go_to::handler));
  all.push_back(with<udppump_on_libevent>("udppump-libevent", waiter_kind::automatic));
  return all;
}

}  // namespace bench
