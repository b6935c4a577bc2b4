#pragma once

#include <unistd.h>

#include <array>
#include <asio.hpp>
#include <span>

#include "peers/message.hpp"
#include "support/system.hpp"
#include "udppump/datagram_socket.hpp"

namespace bench {

/// Asio with callbacks: async_receive_from(), started again from its own completion. Serves one socket.
template <class Handler>
class asio_loop {
 public:
  asio_loop(std::span<udppump::datagram_socket> sockets, Handler handler)
      : socket_{context_, asio::ip::udp::v4(), check_call(dup(sockets.front().fd()), "dup")},
        handler_{std::move(handler)} {
    receive();
  }

  void serve() {
    context_.restart();
    context_.run();
  }

 private:
  void receive() {
    socket_.async_receive_from(asio::buffer(buffer_), sender_, [this](const asio::error_code& error, std::size_t size) {
      if (!error) {
        message received{
            {buffer_.data(), size}, socket_.native_handle(), sender_.data(), static_cast<socklen_t>(sender_.size())};
        if (!handler_(received)) context_.stop();
      }
      receive();
    });
  }

  asio::io_context context_{1};  // one thread runs it
  asio::ip::udp::socket socket_;
  asio::ip::udp::endpoint sender_;
  Handler handler_;
  std::array<std::byte, largest_datagram> buffer_;
};

}  // namespace bench
