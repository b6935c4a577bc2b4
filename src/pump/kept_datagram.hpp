#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "socket/control_message.hpp"

namespace udppump::detail {

/// A datagram that outlives the worker that handles it, in memory shared with its pool; the payload follows it. The
/// kernel itself writes all of it, so that no moment lies between taking the datagram and having it here: recvmmsg(2)
/// stores the length in the header before it returns, and a process is killed only between system calls. A change here
/// is a new layout_version (pool/board.hpp).
struct kept_datagram {
  /// Of a datagram that is redelivered (a worker's own buffer stays free): taken + the page of the worker that has it,
  /// in one word, so that nobody can die between taking it and saying so.
  static constexpr std::uint32_t free = 0, offered = 1, taken = 2;
  std::atomic<std::uint32_t> state;
  std::uint32_t socket;  // index in the pool
  /// Its msg_len is `nothing` while no datagram is here. Its pointers are the worker's own, and mean nothing to
  /// others.
  mmsghdr header;
  iovec part;
  sockaddr_storage from;
  alignas(cmsghdr) std::byte control[control_capacity];

  static constexpr unsigned nothing = ~0u;
  std::byte* payload() noexcept { return reinterpret_cast<std::byte*>(this + 1); }
  const std::byte* payload() const noexcept { return reinterpret_cast<const std::byte*>(this + 1); }
};

/// Kept datagrams in a row, each so many bytes from the one before. A view.
class kept_row {
 public:
  kept_row() noexcept = default;
  kept_row(std::byte* first, std::size_t distance, std::uint32_t size) noexcept
      : first_{first}, distance_{distance}, size_{size} {}

  std::uint32_t size() const noexcept { return size_; }
  /// Bytes of one, with its payload.
  std::size_t distance() const noexcept { return distance_; }
  kept_datagram& operator[](std::uint32_t index) const noexcept {
    return *reinterpret_cast<kept_datagram*>(first_ + index * distance_);
  }

 private:
  std::byte* first_ = nullptr;
  std::size_t distance_ = 0;
  std::uint32_t size_ = 0;
};

}  // namespace udppump::detail
