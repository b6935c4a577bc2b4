#pragma once

#include <event2/event.h>

#include <array>
#include <memory>
#include <new>
#include <span>
#include <vector>

#include "peers/message.hpp"
#include "support/system.hpp"
#include "udppump/datagram_socket.hpp"

namespace bench {

/// Owns an event_base or an event.
template <auto Free>
struct freed_by {
  template <class Object>
  void operator()(Object* object) const {
    Free(object);
  }
};
using base_ptr = std::unique_ptr<event_base, freed_by<event_base_free>>;
using event_ptr = std::unique_ptr<event, freed_by<event_free>>;

/// libevent as its users write it: a persistent read event, one recvfrom each time it fires.
template <class Handler>
class libevent_loop {
 public:
  libevent_loop(std::span<udppump::datagram_socket> sockets, Handler handler) : handler_{std::move(handler)} {
    for (const auto& socket : sockets) {
      check_call(evutil_make_socket_nonblocking(socket.fd()), "evutil_make_socket_nonblocking");
      auto& added = events_.emplace_back(
          event_new(base_.get(), socket.fd(), EV_READ | EV_PERSIST, &libevent_loop::on_readable, this));
      if (!added || event_add(added.get(), nullptr) != 0) throw std::bad_alloc{};
    }
  }

  void serve() { event_base_dispatch(base_.get()); }

  wake_counts wakes() const { return wakes_; }

 private:
  static void on_readable(evutil_socket_t socket, short, void* self) {
    static_cast<libevent_loop*>(self)->receive_from(socket);
  }

  void receive_from(int socket) {
    ++wakes_.wakeups;
    sockaddr_storage from;
    socklen_t from_size = sizeof from;
    auto* const sender = reinterpret_cast<sockaddr*>(&from);
    const ssize_t size = recvfrom(socket, buffer_.data(), buffer_.size(), 0, sender, &from_size);
    if (size < 0) {
      ++wakes_.empty;
      return;
    }
    message received{{buffer_.data(), static_cast<std::size_t>(size)}, socket, sender, from_size};
    if (!handler_(received)) event_base_loopbreak(base_.get());
  }

  base_ptr base_{event_base_new()};
  std::vector<event_ptr> events_;
  Handler handler_;
  wake_counts wakes_;
  std::array<std::byte, largest_datagram> buffer_;
};

}  // namespace bench
