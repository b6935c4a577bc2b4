#pragma once

#include <chrono>
#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include "support/system.hpp"
#include "udppump/address.hpp"
#include "udppump/datagram_socket.hpp"

namespace bench {

/// A server's socket on a free port of 127.0.0.1. `receive_buffer` as in socket_options.
udppump::datagram_socket bind_loopback(std::size_t receive_buffer = 0);

/// Sends to servers and waits for their answers, by plain system calls: the same client for every contender.
class client {
 public:
  client();

  void send(std::string_view payload, const udppump::address& to);
  /// Blocks until an answer arrives; false if none does within a second.
  bool receive();

 private:
  descriptor socket_;
};

/// Sends datagrams of 64 bytes one at a time, each when the one before has been answered and `pause` is over; round
/// trips in microseconds. Throws std::runtime_error if an answer takes more than a second.
std::vector<double> round_trips(const udppump::address& server, std::size_t count, std::chrono::microseconds pause);

}  // namespace bench
