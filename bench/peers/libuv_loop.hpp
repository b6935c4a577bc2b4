#pragma once

#include <unistd.h>
#include <uv.h>

#include <memory>
#include <new>
#include <span>
#include <stdexcept>
#include <vector>

#include "peers/message.hpp"
#include "support/system.hpp"
#include "udppump/datagram_socket.hpp"

namespace bench {

/// libuv: uv_udp_recv_start(), with UV_UDP_RECVMMSG if asked for: then it takes up to 20 datagrams with one call.
template <class Handler>
class libuv_loop {
 public:
  enum class receives_by { recvmsg, recvmmsg };

  libuv_loop(std::span<udppump::datagram_socket> sockets, Handler handler, receives_by how = receives_by::recvmsg)
      : handler_{std::move(handler)},
        // "at least 2 * 64KB" for UV_UDP_RECVMMSG (uv_udp_recv_start() in libuv's documentation); 20 is all it uses.
        buffer_size_{how == receives_by::recvmmsg ? 20 * largest_datagram : largest_datagram},
        handles_(sockets.size()) {
    verify(uv_loop_init(&loop_), "uv_loop_init");
    const unsigned flags = how == receives_by::recvmmsg ? unsigned{UV_UDP_RECVMMSG} : 0;
    for (std::size_t i = 0; i < sockets.size(); ++i) {
      uv_udp_t& handle = handles_[i];
      verify(uv_udp_init_ex(&loop_, &handle, flags), "uv_udp_init_ex");
      handle.data = this;
      verify(uv_udp_open(&handle, check_call(dup(sockets[i].fd()), "dup")), "uv_udp_open");
      verify(uv_udp_recv_start(&handle, &libuv_loop::give_buffer, &libuv_loop::on_receive), "uv_udp_recv_start");
    }
  }
  libuv_loop(const libuv_loop&) = delete;
  libuv_loop& operator=(const libuv_loop&) = delete;
  ~libuv_loop() {
    for (auto& handle : handles_) uv_close(reinterpret_cast<uv_handle_t*>(&handle), nullptr);
    uv_run(&loop_, UV_RUN_DEFAULT);
    uv_loop_close(&loop_);
  }

  void serve() { uv_run(&loop_, UV_RUN_DEFAULT); }

 private:
  static void verify(int result, const char* call) {
    if (result < 0) throw std::runtime_error{std::string{call} + ": " + uv_strerror(result)};
  }

  static void give_buffer(uv_handle_t* handle, std::size_t, uv_buf_t* buffer) {
    auto* const self = static_cast<libuv_loop*>(handle->data);
    *buffer = uv_buf_init(reinterpret_cast<char*>(self->buffer_.get()), static_cast<unsigned>(self->buffer_size_));
  }

  static void on_receive(uv_udp_t* handle, ssize_t size, const uv_buf_t* buffer, const sockaddr* from, unsigned) {
    if (size < 0 || from == nullptr) return;  // nothing more to read, or the end of a batch
    auto* const self = static_cast<libuv_loop*>(handle->data);
    uv_os_fd_t socket = -1;
    uv_fileno(reinterpret_cast<uv_handle_t*>(handle), &socket);
    message received{{reinterpret_cast<std::byte*>(buffer->base), static_cast<std::size_t>(size)},
                     socket,
                     from,
                     socklen_t{sizeof(sockaddr_in)}};
    if (!self->handler_(received)) uv_stop(&self->loop_);
  }

  Handler handler_;
  std::size_t buffer_size_;
  std::unique_ptr<std::byte[]> buffer_{new std::byte[buffer_size_]};
  std::vector<uv_udp_t> handles_;
  uv_loop_t loop_;
};

}  // namespace bench
