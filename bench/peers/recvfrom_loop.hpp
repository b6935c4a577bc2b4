#pragma once

#include <fcntl.h>
#include <poll.h>

#include <array>
#include <condition_variable>
#include <mutex>
#include <span>
#include <stop_token>
#include <thread>

#include "peers/message.hpp"
#include "support/system.hpp"
#include "udppump/datagram_socket.hpp"

namespace bench {

enum class waits_by { blocking, polling };

/// Waits until one socket is readable.
inline void wait_readable(int socket) {
  pollfd entry{.fd = socket, .events = POLLIN, .revents = 0};
  check_call(poll(&entry, 1, -1), "poll");
}

/// The reference: a loop around recvfrom(2), and nothing else. Serves one socket.
template <class Handler>
class recvfrom_loop {
 public:
  recvfrom_loop(std::span<udppump::datagram_socket> sockets, Handler handler, waits_by how)
      : socket_{sockets.front().fd()}, how_{how}, handler_{std::move(handler)} {
    if (how == waits_by::polling) return;
    const int flags = check_call(fcntl(socket_, F_GETFL), "fcntl");
    check_call(fcntl(socket_, F_SETFL, flags & ~O_NONBLOCK), "fcntl");
  }

  void serve() {
    const int flags = how_ == waits_by::polling ? MSG_DONTWAIT : 0;
    for (;;) {
      sockaddr_storage from;
      socklen_t from_size = sizeof from;
      auto* const sender = reinterpret_cast<sockaddr*>(&from);
      const ssize_t size = recvfrom(socket_, buffer_.data(), buffer_.size(), flags, sender, &from_size);
      if (size < 0) {
        if (errno != EAGAIN) throw std::system_error{errno, std::generic_category(), "recvfrom"};
        wait_readable(socket_);
        continue;
      }
      message received{{buffer_.data(), static_cast<std::size_t>(size)}, socket_, sender, from_size};
      if (!handler_(received)) return;
    }
  }

 private:
  int socket_;
  waits_by how_;
  Handler handler_;
  std::array<std::byte, largest_datagram> buffer_;
};

/// The same in a process that has another thread, which sleeps. Every system call on a descriptor then costs more: the
/// kernel counts references to the file (fdget() in fs/file.c), and the C library watches for pthread_cancel().
template <class Handler>
class recvfrom_loop_beside_thread : public recvfrom_loop<Handler> {
 public:
  using recvfrom_loop<Handler>::recvfrom_loop;

 private:
  std::mutex mutex_;
  std::condition_variable_any never_;
  std::jthread sleeper_{[this](const std::stop_token& stop) {
    std::unique_lock lock{mutex_};
    never_.wait(lock, stop, [] { return false; });
  }};
};

}  // namespace bench
