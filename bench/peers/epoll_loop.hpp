#pragma once

#include <sys/epoll.h>

#include <array>
#include <span>

#include "peers/message.hpp"
#include "support/system.hpp"
#include "udppump/datagram_socket.hpp"

namespace bench {

/// A loop around epoll_wait(2), level-triggered, that drains a socket that is readable. `extra` may be EPOLLEXCLUSIVE:
/// then a datagram wakes one of the processes that wait for the socket, else it wakes all of them.
template <class Handler>
class epoll_loop {
 public:
  epoll_loop(std::span<udppump::datagram_socket> sockets, Handler handler, std::uint32_t extra = 0)
      : handler_{std::move(handler)} {
    for (const auto& socket : sockets) {
      epoll_event interest{.events = EPOLLIN | extra, .data = {.fd = socket.fd()}};
      check_call(epoll_ctl(epoll_.fd(), EPOLL_CTL_ADD, socket.fd(), &interest), "epoll_ctl");
    }
  }

  void serve() {
    for (;;) {
      epoll_event ready;
      if (check_call(epoll_wait(epoll_.fd(), &ready, 1, -1), "epoll_wait") == 0) continue;
      if (!drain(ready.data.fd)) return;
    }
  }

  wake_counts wakes() const { return wakes_; }

 private:
  bool drain(int socket) {
    ++wakes_.wakeups;
    for (bool found = false;; found = true) {
      sockaddr_storage from;
      socklen_t from_size = sizeof from;
      auto* const sender = reinterpret_cast<sockaddr*>(&from);
      const ssize_t size = recvfrom(socket, buffer_.data(), buffer_.size(), MSG_DONTWAIT, sender, &from_size);
      if (size < 0) {
        if (errno != EAGAIN) throw std::system_error{errno, std::generic_category(), "recvfrom"};
        if (!found) ++wakes_.empty;
        return true;
      }
      message received{{buffer_.data(), static_cast<std::size_t>(size)}, socket, sender, from_size};
      if (!handler_(received)) return false;
    }
  }

  descriptor epoll_{check_call(epoll_create1(EPOLL_CLOEXEC), "epoll_create1")};
  Handler handler_;
  wake_counts wakes_;
  std::array<std::byte, largest_datagram> buffer_;
};

}  // namespace bench
