#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <memory>
#include <span>

#include "socket/control_message.hpp"
#include "socket/receive.hpp"

namespace udppump::detail {

/// Datagrams that were taken in one system call (recvmmsg(2)) and wait for the handler.
class batch {
 public:
  static constexpr std::size_t most = 16;

  /// Room for payloads of this size, which costs no memory until it is received into. Throws std::bad_alloc.
  explicit batch(std::size_t payload_size);

  /// Takes up to `count` datagrams, at most `most`; only if empty(). 0, or -errno; -EAGAIN if none waits.
  long receive(const receiver& from, std::size_t count) noexcept;
  bool empty() const noexcept { return next_ == count_; }
  /// Datagrams that are left.
  std::size_t size() const noexcept { return count_ - next_; }
  /// The next one's room, as the kernel filled it; only if not empty(). Valid until receive().
  std::span<std::byte> take(const receiver& from, address& sender, received& into) noexcept;
  void clear() noexcept { next_ = count_ = 0; }

 private:
  struct slot {
    sockaddr_storage from;
    iovec part;
    alignas(cmsghdr) std::byte control[control_capacity];
  };

  std::size_t payload_size_;
  std::unique_ptr<std::byte[]> payloads_;
  std::array<mmsghdr, most> headers_{};
  std::array<slot, most> slots_;
  std::size_t next_ = 0, count_ = 0;
};

}  // namespace udppump::detail
