#pragma once

#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>

#include <array>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <span>
#include <thread>

#include "peers/libevent_loop.hpp"
#include "peers/message.hpp"
#include "support/system.hpp"
#include "udppump/datagram_socket.hpp"

namespace bench {

/// The design of 2006, from its description: a thread blocks in recvfrom(2), says through a socketpair that it has a
/// datagram, and waits at a condition variable until the event loop has handled it. Serves one socket.
template <class Handler>
class seed_2006_loop {
 public:
  seed_2006_loop(std::span<udppump::datagram_socket> sockets, Handler handler)
      : socket_{sockets.front().fd()}, handler_{std::move(handler)} {
    std::array<int, 2> ends;
    check_call(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), "socketpair");
    for (std::size_t i = 0; i < 2; ++i) pair_[i] = std::make_unique<descriptor>(ends[i]);
    event_.reset(event_new(base_.get(), pair_[0]->fd(), EV_READ | EV_PERSIST, &seed_2006_loop::on_readable, this));
    if (!event_ || event_add(event_.get(), nullptr) != 0) throw std::bad_alloc{};
    const int flags = check_call(fcntl(socket_, F_GETFL), "fcntl");
    check_call(fcntl(socket_, F_SETFL, flags & ~O_NONBLOCK), "fcntl");  // a loop that had it before may have set it
    struct sigaction interrupt {};
    interrupt.sa_handler = [](int) {};
    check_call(sigaction(SIGUSR2, &interrupt, nullptr), "sigaction");
    receiver_ = std::thread{[this] {
      receive();
      const std::lock_guard lock{mutex_};
      ended_ = true;
      changed_.notify_one();
    }};
  }
  seed_2006_loop(const seed_2006_loop&) = delete;
  seed_2006_loop& operator=(const seed_2006_loop&) = delete;
  /// The thread may sit in recvfrom(), and a signal gets it out of there, unless it comes a moment too early.
  ~seed_2006_loop() {
    {
      std::unique_lock lock{mutex_};
      ending_ = handled_ = true;
      changed_.notify_one();
      const auto ended = [this] { return ended_; };
      while (!changed_.wait_for(lock, std::chrono::milliseconds{1}, ended)) {
        pthread_kill(receiver_.native_handle(), SIGUSR2);
      }
    }
    receiver_.join();
  }

  void serve() { event_base_dispatch(base_.get()); }

 private:
  void receive() {
    for (;;) {
      from_size_ = sizeof from_;
      size_ = recvfrom(socket_, buffer_.data(), buffer_.size(), 0, reinterpret_cast<sockaddr*>(&from_), &from_size_);
      std::unique_lock lock{mutex_};
      if (ending_) return;
      if (size_ < 0) continue;
      handled_ = false;
      const char byte = 0;
      if (write(pair_[1]->fd(), &byte, 1) != 1) return;
      changed_.wait(lock, [this] { return handled_; });
      if (ending_) return;
    }
  }

  static void on_readable(evutil_socket_t end, short, void* self) { static_cast<seed_2006_loop*>(self)->handle(end); }

  void handle(int end) {
    char byte = 0;
    if (read(end, &byte, 1) != 1) return;
    message received{{buffer_.data(), static_cast<std::size_t>(size_)},
                     socket_,
                     reinterpret_cast<const sockaddr*>(&from_),
                     from_size_};
    if (!handler_(received)) event_base_loopbreak(base_.get());
    {
      const std::lock_guard lock{mutex_};
      handled_ = true;
    }
    changed_.notify_one();
  }

  int socket_;
  Handler handler_;
  base_ptr base_{event_base_new()};
  std::array<std::unique_ptr<descriptor>, 2> pair_;
  event_ptr event_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool handled_ = false, ending_ = false, ended_ = false;
  ssize_t size_ = 0;
  sockaddr_storage from_;
  socklen_t from_size_ = 0;
  std::array<std::byte, largest_datagram> buffer_;
  std::thread receiver_;
};

}  // namespace bench
