#pragma once

#include <liburing.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <span>

#include "peers/message.hpp"
#include "support/system.hpp"
#include "udppump/datagram_socket.hpp"

namespace bench {

/// io_uring with IORING_RECV_MULTISHOT and a ring of provided buffers, as in io_uring_prep_recvmsg_multishot(3) and
/// liburing's examples/io_uring-udp.c: one request keeps receiving until it runs out of buffers, and answers leave as
/// requests of the same ring, many with one system call. It takes datagrams that it will handle only later, and what it
/// has taken and not handled is lost with it. Serves one socket.
template <class Handler>
class uring_multishot_loop {
 public:
  uring_multishot_loop(std::span<udppump::datagram_socket> sockets, Handler handler)
      : socket_{sockets.front().fd()}, handler_{std::move(handler)} {
    io_uring_params params{};
    params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE;
    params.cq_entries = 8 * requests;
    verify(io_uring_queue_init_params(requests, &ring_, &params), "io_uring_queue_init_params");
    verify(io_uring_register_files(&ring_, &socket_, 1), "io_uring_register_files");
    io_uring_buf_reg registration{};
    registration.ring_addr = reinterpret_cast<std::uintptr_t>(provided_.get());
    registration.ring_entries = buffers;
    verify(io_uring_register_buf_ring(&ring_, &registration, 0), "io_uring_register_buf_ring");
    io_uring_buf_ring_init(provided_.get());
    for (unsigned index = 0; index < buffers; ++index) {
      *buffer(index) = {};  // else the first round pays for touching it
      give_back(index);
    }
    wanted_.msg_namelen = sizeof(sockaddr_storage);
  }
  uring_multishot_loop(const uring_multishot_loop&) = delete;
  uring_multishot_loop& operator=(const uring_multishot_loop&) = delete;
  /// The ring itself ends later than its descriptor is closed (io_ring_exit_work() in io_uring/io_uring.c): a request
  /// that nobody called off could still take a datagram then, and use memory that is gone.
  ~uring_multishot_loop() {
    for (bool called_off = !receiving_; receiving_ || sending_ > 0;) {
      if (io_uring_sqe* const entry = called_off ? nullptr : io_uring_get_sqe(&ring_)) {
        io_uring_prep_cancel64(entry, received_key, 0);
        entry->user_data = cancel_key;
        called_off = true;
      }
      const int entered = io_uring_submit_and_wait(&ring_, 1);
      if (entered < 0 && entered != -EINTR) break;
      for_each_completed([this](const io_uring_cqe& completed) {
        if (completed.user_data == received_key) receiving_ = (completed.flags & IORING_CQE_F_MORE) != 0;
        if (completed.user_data < buffers) --sending_;
      });
    }
    io_uring_queue_exit(&ring_);
  }

  void serve() {
    for (going_ = true; going_;) {
      if (!receiving_ && free_ > 0) receive();  // else there are answers to wait for, and each gives a buffer back
      const int entered = io_uring_submit_and_wait(&ring_, 1);
      if (entered != -EINTR) verify(entered, "io_uring_submit_and_wait");
      // Those of a batch that come after the last one wanted are handled all the same: they have been taken.
      for_each_completed([this](const io_uring_cqe& completed) { handle(completed); });
    }
    verify(io_uring_submit(&ring_), "io_uring_submit");  // the last answers
  }

 private:
  static constexpr unsigned requests = 256, buffers = 256;
  static constexpr std::size_t buffer_size = largest_datagram + sizeof(io_uring_recvmsg_out) + sizeof(sockaddr_storage);
  /// Of a request; answers have the number of their buffer.
  static constexpr std::uint64_t received_key = ~std::uint64_t{0}, cancel_key = received_key - 1;

  /// The answer leaves with the next submission, out of the buffer in which the request came.
  struct queued_message : message {
    uring_multishot_loop* loop;
    unsigned index;

    std::error_code reply(std::span<const std::byte> answer) const noexcept {
      return loop->send(index, payload.data(), answer, from, from_size);
    }
  };

  static void verify(int result, const char* call) {
    if (result < 0) throw std::system_error{-result, std::generic_category(), call};
  }

  void receive() {
    io_uring_sqe* const entry = next_entry();
    io_uring_prep_recvmsg_multishot(entry, 0, &wanted_, 0);
    entry->flags |= IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT;
    entry->buf_group = 0;
    entry->user_data = received_key;
    receiving_ = true;
  }

  void for_each_completed(auto take) {
    std::array<io_uring_cqe*, 64> completed;
    const unsigned count = io_uring_peek_batch_cqe(&ring_, completed.data(), completed.size());
    for (unsigned at = 0; at < count; ++at) take(*completed[at]);
    io_uring_cq_advance(&ring_, count);
  }

  void handle(const io_uring_cqe& completed) {
    if (completed.user_data != received_key) {
      --sending_;
      return give_back(static_cast<unsigned>(completed.user_data));
    }
    if ((completed.flags & IORING_CQE_F_MORE) == 0) receiving_ = false;
    if (completed.res == -ENOBUFS) return;  // every buffer was in use
    verify(completed.res, "recvmsg");
    --free_;
    const unsigned index = completed.flags >> IORING_CQE_BUFFER_SHIFT;
    auto* const out = io_uring_recvmsg_validate(buffer(index), completed.res, &wanted_);
    if (out == nullptr) return give_back(index);
    queued_message received{{{static_cast<std::byte*>(io_uring_recvmsg_payload(out, &wanted_)),
                              io_uring_recvmsg_payload_length(out, completed.res, &wanted_)},
                             socket_,
                             static_cast<const sockaddr*>(io_uring_recvmsg_name(out)),
                             out->namelen},
                            this,
                            index};
    answered_ = false;
    if (!handler_(received)) going_ = false;
    if (!answered_) give_back(index);
  }

  std::error_code send(unsigned index, std::byte* into, std::span<const std::byte> answer, const sockaddr* to,
                       socklen_t to_size) {
    if (into != answer.data()) std::memcpy(into, answer.data(), answer.size());
    parts_[index] = {.iov_base = into, .iov_len = answer.size()};
    sent_[index] = {};
    sent_[index].msg_name = const_cast<sockaddr*>(to);
    sent_[index].msg_namelen = to_size;
    sent_[index].msg_iov = &parts_[index];
    sent_[index].msg_iovlen = 1;
    io_uring_sqe* const entry = next_entry();
    io_uring_prep_sendmsg(entry, 0, &sent_[index], 0);
    entry->flags |= IOSQE_FIXED_FILE;
    entry->user_data = index;
    ++sending_;
    answered_ = true;
    return {};
  }

  io_uring_sqe* next_entry() {
    io_uring_sqe* entry = io_uring_get_sqe(&ring_);
    if (entry != nullptr) return entry;
    verify(io_uring_submit(&ring_), "io_uring_submit");
    return io_uring_get_sqe(&ring_);
  }

  std::byte* buffer(unsigned index) const { return &memory_[index * buffer_size]; }

  void give_back(unsigned index) {
    io_uring_buf_ring_add(provided_.get(), buffer(index), buffer_size, static_cast<unsigned short>(index),
                          io_uring_buf_ring_mask(buffers), 0);
    io_uring_buf_ring_advance(provided_.get(), 1);
    ++free_;
  }

  struct unmap {
    void operator()(io_uring_buf_ring* mapped) const { munmap(mapped, buffers * sizeof(io_uring_buf)); }
  };
  static io_uring_buf_ring* map_ring() {
    void* const mapped =
        mmap(nullptr, buffers * sizeof(io_uring_buf), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED) throw std::system_error{errno, std::generic_category(), "mmap"};
    return static_cast<io_uring_buf_ring*>(mapped);
  }

  int socket_;
  Handler handler_;
  io_uring ring_{};
  std::unique_ptr<io_uring_buf_ring, unmap> provided_{map_ring()};
  std::unique_ptr<std::byte[]> memory_{new std::byte[buffers * buffer_size]};
  std::array<msghdr, buffers> sent_;
  std::array<iovec, buffers> parts_;
  msghdr wanted_{};
  /// Buffers that the kernel has; answers on their way.
  unsigned free_ = 0, sending_ = 0;
  bool receiving_ = false, going_ = true, answered_ = false;
};

}  // namespace bench
