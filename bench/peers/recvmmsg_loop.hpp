#pragma once

#include <array>
#include <memory>
#include <span>

#include "peers/message.hpp"
#include "peers/recvfrom_loop.hpp"
#include "support/system.hpp"
#include "udppump/datagram_socket.hpp"

namespace bench {

/// A loop around recvmmsg(2), up to 32 datagrams a call. It takes datagrams that it will handle only later.
template <class Handler>
class recvmmsg_loop {
 public:
  recvmmsg_loop(std::span<udppump::datagram_socket> sockets, Handler handler)
      : socket_{sockets.front().fd()}, handler_{std::move(handler)} {
    for (std::size_t i = 0; i < batch; ++i) {
      parts_[i] = {.iov_base = &buffers_[i * largest_datagram], .iov_len = largest_datagram};
      messages_[i].msg_hdr.msg_name = &senders_[i];
      messages_[i].msg_hdr.msg_iov = &parts_[i];
      messages_[i].msg_hdr.msg_iovlen = 1;
    }
  }

  void serve() {
    for (;;) {
      // The kernel has shortened it.
      for (std::size_t i = 0; i < batch; ++i) messages_[i].msg_hdr.msg_namelen = sizeof senders_[i];
      const int taken = recvmmsg(socket_, messages_.data(), batch, MSG_DONTWAIT, nullptr);
      if (taken < 0) {
        if (errno != EAGAIN) throw std::system_error{errno, std::generic_category(), "recvmmsg"};
        wait_readable(socket_);
        continue;
      }
      for (std::size_t i = 0; i < static_cast<std::size_t>(taken); ++i) {
        message received{{&buffers_[i * largest_datagram], messages_[i].msg_len},
                         socket_,
                         reinterpret_cast<sockaddr*>(&senders_[i]),
                         messages_[i].msg_hdr.msg_namelen};
        if (!handler_(received)) return;
      }
    }
  }

 private:
  static constexpr std::size_t batch = 32;

  int socket_;
  Handler handler_;
  std::unique_ptr<std::byte[]> buffers_{new std::byte[batch * largest_datagram]};
  std::array<iovec, batch> parts_;
  std::array<sockaddr_storage, batch> senders_;
  std::array<mmsghdr, batch> messages_{};
};

}  // namespace bench
