#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "udppump/datagram_socket.hpp"

namespace udppump::load {

/// The sockets that a run's requests are sent from, one for each flow, connected to the target.
///
/// Each learns the kernel's receive time of what comes in (SO_TIMESTAMPNS): an answer is timed when it reaches the
/// socket, not when this program gets around to reading it.
class flow_sockets {
 public:
  /// `sources` are local addresses that the flows take in turn; empty leaves the choice to the kernel. Raises the limit
  /// of descriptors if it must. Throws std::system_error that names the address and, if one is known, the cure, and
  /// std::invalid_argument if a source is the target.
  flow_sockets(const address& target, std::span<const address> sources, std::uint32_t count);

  std::uint32_t size() const noexcept { return static_cast<std::uint32_t>(sockets_.size()); }
  const datagram_socket& operator[](std::size_t flow) const noexcept { return sockets_[flow]; }
  /// Answers that the kernel dropped at these sockets because they were full (SO_MEMINFO, sock_diag(7)).
  std::uint64_t drops() const noexcept;
  /// What the kernel granted each as receive buffer, and why not more.
  const buffer_size& receive_buffer() const noexcept { return sockets_.front().receive_buffer(); }

 private:
  std::vector<datagram_socket> sockets_;
};

}  // namespace udppump::load
