#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <system_error>
#include <utility>
#include <vector>

#include "peers/libevent_loop.hpp"
#include "peers/message.hpp"
#include "peers/recvfrom_loop.hpp"
#include "udppump/libevent.hpp"
#include "udppump/pump.hpp"
#include "udppump/pump_group.hpp"

namespace bench {

inline wake_counts counted_by(const udppump::pump& pump) {
  const auto stats = pump.stats();
  return {.wakeups = stats.wakeups, .empty = stats.empty_wakeups};
}

inline void throw_if(const std::error_code& error, const char* call) {
  if (error) throw std::system_error{error, call};
}

/// What client_limit and client_share drop: whether the handler sees it all the same, for those who count to the end.
enum class drops_go_to { nobody, handler };

/// udppump without a loop of the program's own: run(). Serves one socket, once.
template <class Handler>
class udppump_run {
 public:
  udppump_run(std::span<udppump::datagram_socket> sockets, Handler handler, udppump::waiter_kind waiter,
              std::chrono::nanoseconds max_age = {}, udppump::client_limit client_limit = {},
              udppump::client_share client_share = {}, drops_go_to drops = drops_go_to::nobody)
      : handler_{std::move(handler)},
        pump_{sockets.front(),
              [this](udppump::datagram& received) { handle(received); },
              {.max_age = max_age,
               .client_limit = std::move(client_limit),
               .client_share = std::move(client_share),
               .on_limited = hearing(drops)},
              waiter} {}

  void serve() { throw_if(pump_.run(), "pump::run"); }

  wake_counts wakes() const { return counted_by(pump_); }

 private:
  void handle(udppump::datagram& received) {
    if (!handler_(received)) pump_.stop();
  }
  std::function<void(udppump::datagram&)> hearing(drops_go_to drops) {
    if (drops == drops_go_to::nobody) return {};
    return [this](udppump::datagram& received) { handle(received); };
  }

  Handler handler_;
  udppump::pump pump_;
};

/// udppump on the smallest loop there is: poll(2) on wake_fd(), then dispatch(). Serves one socket.
template <class Handler>
class udppump_dispatch {
 public:
  udppump_dispatch(std::span<udppump::datagram_socket> sockets, Handler handler, udppump::waiter_kind waiter)
      : handler_{std::move(handler)},
        pump_{sockets.front(),
              [this](udppump::datagram& received) { going_ = handler_(received) && going_; },
              {},
              waiter} {}

  void serve() {
    going_ = true;
    while (going_) {
      wait_readable(pump_.wake_fd());
      throw_if(pump_.dispatch(), "pump::dispatch");
    }
  }

  wake_counts wakes() const { return counted_by(pump_); }

 private:
  Handler handler_;
  bool going_ = true;
  udppump::pump pump_;
};

/// udppump on libevent: one pump and one watch for each socket.
template <class Handler>
class udppump_on_libevent {
 public:
  udppump_on_libevent(std::span<udppump::datagram_socket> sockets, Handler handler, udppump::waiter_kind waiter)
      : handler_{std::move(handler)} {
    const auto on_datagram = [this](udppump::datagram& received) {
      if (!handler_(received)) event_base_loopbreak(base_.get());
    };
    for (auto& socket : sockets) {
      auto& pump = pumps_.emplace_back(socket, on_datagram, udppump::pump_options{}, waiter);
      watches_.emplace_back(base_.get(), pump);
    }
  }

  void serve() { event_base_dispatch(base_.get()); }

  wake_counts wakes() const { return counted_by(pumps_.front()); }

 private:
  base_ptr base_{event_base_new()};
  Handler handler_;
  std::deque<udppump::pump> pumps_;
  std::deque<udppump::libevent_watch> watches_;
};

/// udppump on libevent, all pumps in one group, which one watch serves.
template <class Handler>
class udppump_group_on_libevent {
 public:
  udppump_group_on_libevent(std::span<udppump::datagram_socket> sockets, Handler handler, udppump::waiter_kind waiter)
      : handler_{std::move(handler)}, group_{{.waiter = waiter}} {
    const auto on_datagram = [this](udppump::datagram& received) {
      if (!handler_(received)) event_base_loopbreak(base_.get());
    };
    for (auto& socket : sockets) pumps_.push_back(group_.add(socket, on_datagram));
    watch_.emplace(base_.get(), group_);
  }

  void serve() { event_base_dispatch(base_.get()); }

 private:
  base_ptr base_{event_base_new()};
  Handler handler_;
  udppump::pump_group group_;
  std::vector<udppump::grouped_pump> pumps_;
  std::optional<udppump::libevent_watch> watch_;
};

}  // namespace bench
