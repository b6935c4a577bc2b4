#pragma once

#include <sys/socket.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "support/system.hpp"
#include "udppump/address.hpp"

namespace bench {

/// What a run of requests came to.
struct echo_run {
  std::uint64_t sent = 0, answered = 0;
  /// From the first request to the last answer.
  nanoseconds took{0};
  /// Of that, the client had nothing to send and found no answer.
  nanoseconds idle{0};
  /// From the last request to the last answer.
  nanoseconds backlog{0};
  /// Requests a second, as they were really sent; of paced().
  double offered = 0;
};

/// Asks an echo server many times at once, for less than any server can do: requests leave as one UDP_SEGMENT send
/// (udp(7)), answers are taken with recvmmsg(2), and it never sleeps, so that no server pays for waking it. Every
/// answer is matched with its request.
class echo_client {
 public:
  /// Bytes in each request.
  static constexpr std::size_t request_size = 64;

  explicit echo_client(const udppump::address& server);
  echo_client(const echo_client&) = delete;
  echo_client& operator=(const echo_client&) = delete;

  /// For the time given as many as `window` requests are outstanding: it must fit both queues, and nothing is lost
  /// then, but by others' traffic, with which loopback shares a queue (net.core.netdev_max_backlog). Returns when all
  /// are answered, or when no answer has come for 500 ms.
  echo_run closed_loop(std::size_t window, nanoseconds time);
  /// Sends at this rate whatever the answers do: what is due at a time leaves together, at most 64. Returns when all
  /// are answered, or when no answer has come for 100 ms.
  echo_run paced(double per_second, nanoseconds time);

 private:
  static constexpr std::size_t batch = 64;  // UDP_MAX_SEGMENTS, include/linux/udp.h
  /// How many requests may be outstanding; a power of two.
  static constexpr std::size_t most_outstanding = 1 << 20;

  void begin();
  void send(std::size_t count);
  /// Takes answers that are there, at most a batch.
  std::size_t receive();
  void match(const std::byte* answer, std::size_t size);
  std::size_t outstanding() const { return next_ - first_ - answered_; }

  descriptor socket_;
  std::vector<bool> waiting_;
  /// Number of the next request; of the first in this run.
  std::uint64_t next_ = 0, first_ = 0;
  std::uint64_t answered_ = 0;
  std::array<std::byte, batch * request_size> requests_{};
  std::array<std::byte, batch * request_size> answers_;
  std::array<iovec, batch> parts_;
  std::array<mmsghdr, batch> messages_{};
};

}  // namespace bench
