#pragma once

#include <array>
#include <span>

#include "peers/message.hpp"
#include "peers/recvfrom_loop.hpp"
#include "support/system.hpp"
#include "udppump/datagram_socket.hpp"

namespace bench {

/// A loop around recvmsg(2) with room for control data, as servers have that ask for addresses or times.
template <class Handler>
class recvmsg_loop {
 public:
  recvmsg_loop(std::span<udppump::datagram_socket> sockets, Handler handler)
      : socket_{sockets.front().fd()}, handler_{std::move(handler)} {}

  void serve() {
    for (;;) {
      sockaddr_storage from;
      iovec part{.iov_base = buffer_.data(), .iov_len = buffer_.size()};
      alignas(cmsghdr) std::array<std::byte, 256> control;
      msghdr header{.msg_name = &from,
                    .msg_namelen = sizeof from,
                    .msg_iov = &part,
                    .msg_iovlen = 1,
                    .msg_control = control.data(),
                    .msg_controllen = control.size(),
                    .msg_flags = 0};
      const ssize_t size = recvmsg(socket_, &header, MSG_DONTWAIT);
      if (size < 0) {
        if (errno != EAGAIN) throw std::system_error{errno, std::generic_category(), "recvmsg"};
        wait_readable(socket_);
        continue;
      }
      message received{{buffer_.data(), static_cast<std::size_t>(size)},
                       socket_,
                       reinterpret_cast<sockaddr*>(&from),
                       header.msg_namelen};
      if (!handler_(received)) return;
    }
  }

 private:
  int socket_;
  Handler handler_;
  std::array<std::byte, largest_datagram> buffer_;
};

}  // namespace bench
