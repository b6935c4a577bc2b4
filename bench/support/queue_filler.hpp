#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "support/system.hpp"
#include "udppump/datagram_socket.hpp"

namespace bench {

/// Puts datagrams into a socket's receive queue, before anybody drains it.
class queue_filler {
 public:
  /// `target` must outlive the filler. Probes how many datagrams of `payload` bytes, at most `most`, the receive buffer
  /// takes; leaves the queue empty. They come from so many addresses of this host, at most 256, one from each in turn.
  queue_filler(const udppump::datagram_socket& target, std::size_t payload, std::size_t most, std::size_t clients = 1);

  /// How many fill() asks for: what the buffer takes with a margin, so that none is lost.
  std::size_t capacity() const noexcept { return capacity_; }
  /// Bytes of the receive buffer that the kernel takes for one datagram; SO_RCVBUF is half of what it allows
  /// (socket(7)).
  std::size_t charge() const noexcept { return charge_; }
  /// Puts `count` datagrams into the queue, which must be empty; returns how many wait in it.
  std::size_t fill(std::size_t count);
  std::size_t fill() { return fill(capacity_); }
  /// Empties the queue, whoever filled it.
  void discard_all() const;

 private:
  void send(std::size_t count);
  std::uint32_t queued_bytes() const;

  int target_;
  std::vector<descriptor> senders_;
  std::vector<char> payload_;
  /// What the kernel charges to the receive buffer for one datagram.
  std::uint32_t charge_ = 0;
  std::size_t capacity_;
};

}  // namespace bench
