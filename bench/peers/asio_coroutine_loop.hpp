#pragma once

#include <unistd.h>

#include <array>
#include <asio.hpp>
#include <exception>
#include <span>

#include "peers/message.hpp"
#include "support/system.hpp"
#include "udppump/datagram_socket.hpp"

namespace bench {

/// Asio with a coroutine: co_await async_receive_from() in a loop. Serves one socket.
template <class Handler>
class asio_coroutine_loop {
 public:
  asio_coroutine_loop(std::span<udppump::datagram_socket> sockets, Handler handler)
      : handler_{std::move(handler)},
        socket_{context_, asio::ip::udp::v4(), check_call(dup(sockets.front().fd()), "dup")} {
    asio::co_spawn(context_, receive(), [](const std::exception_ptr& error) {
      if (error) std::rethrow_exception(error);  // out of serve(): asio::detached would end it without a word
    });
  }

  void serve() {
    context_.restart();
    context_.run();
  }

 private:
  asio::awaitable<void> receive() {
    for (asio::ip::udp::endpoint sender;;) {
      const std::size_t size = co_await socket_.async_receive_from(asio::buffer(buffer_), sender, asio::use_awaitable);
      message received{
          {buffer_.data(), size}, socket_.native_handle(), sender.data(), static_cast<socklen_t>(sender.size())};
      if (!handler_(received)) context_.stop();
    }
  }

  std::array<std::byte, largest_datagram> buffer_;
  Handler handler_;
  asio::io_context context_{1};  // one thread runs it; destroys the coroutine before what that uses
  asio::ip::udp::socket socket_;
};

}  // namespace bench
