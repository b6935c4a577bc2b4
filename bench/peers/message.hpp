#pragma once

#include <sys/socket.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <span>
#include <system_error>

/// Peers: other ways to serve UDP sockets, each written as its documentation recommends, and udppump among them. All
/// have the same face:
///
///   peer(std::span<udppump::datagram_socket> sockets, handler, ...);   // the sockets outlive the peer
///   void serve();         // calls handler(received) with each datagram until it returns false; may be called again
///   wake_counts wakes();  // if the peer knows
///
/// `received` has payload (bytes that may be changed) and reply(bytes), as udppump::datagram has.
namespace bench {

/// The 64 KiB that a server needs to take any datagram.
inline constexpr std::size_t largest_datagram = 65'536;

/// A datagram and the way back to its sender.
struct message {
  std::span<std::byte> payload;
  int socket;
  const sockaddr* from;
  socklen_t from_size;

  std::error_code reply(std::span<const std::byte> answer) const noexcept {
    if (sendto(socket, answer.data(), answer.size(), 0, from, from_size) >= 0) return {};
    return {errno, std::generic_category()};
  }
};

/// How often a server woke up, and how many of those times it found nothing.
struct wake_counts {
  std::uint64_t wakeups = 0;
  std::uint64_t empty = 0;
};

}  // namespace bench
