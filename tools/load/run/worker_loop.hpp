#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <span>
#include <string_view>

#include "load/run/work_service.hpp"
#include "udppump/client_limit.hpp"
#include "udppump/client_share.hpp"
#include "udppump/datagram_socket.hpp"
#include "udppump/waiter.hpp"

namespace udppump::load {

/// What a worker has done; in memory that its parent sees, so that it outlives the worker. Each in a cache line of its
/// own, so that the workers do not slow each other.
struct alignas(64) work_counts {
  std::atomic<std::uint64_t> served{0};
  /// Datagrams that were no work requests.
  std::atomic<std::uint64_t> refused{0};
  /// Those that had waited too long.
  std::atomic<std::uint64_t> expired{0};
  /// Those of clients that had sent too many.
  std::atomic<std::uint64_t> limited{0};
  /// Nanoseconds of service: asked for, and really used.
  std::atomic<std::int64_t> asked{0}, used{0};
  static_assert(std::atomic<std::uint64_t>::is_always_lock_free);
};

/// What pumps drop before it is served, as pump_options have it.
struct drop_rules {
  nanoseconds max_age{0};
  udppump::client_limit client_limit = {};
  udppump::client_share client_share = {};

  bool any() const noexcept { return max_age.count() != 0 || client_limit || client_share; }
};

/// Called once, when the worker serves, with the name of what it waits with.
using ready_function = std::function<void(std::string_view waiter)>;

/// Serve for ever; they return only if they cannot, by std::system_error. `sockets`: one, or lanes, of which the first
/// ones are served first.
void serve_by_pumps(std::span<datagram_socket> sockets, waiter_kind waiter, const drop_rules& drops,
                    work_service& service, work_counts& counts, const ready_function& ready);
/// As programs do it that have never heard of thundering herds: the socket in an epoll of the worker's own, not
/// exclusive; awake, it receives until the socket is empty.
void serve_by_epoll(datagram_socket& socket, work_service& service, work_counts& counts, const ready_function& ready);

}  // namespace udppump::load
