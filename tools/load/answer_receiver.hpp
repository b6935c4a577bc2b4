#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "load/clock.hpp"
#include "load/flow_sockets.hpp"
#include "load/request_template.hpp"

struct mmsghdr;

namespace udppump::load {

/// Reads what comes in on the sockets of a run. Belongs to one thread.
class answer_receiver {
 public:
  /// `flows` must outlive it.
  explicit answer_receiver(const flow_sockets& flows);
  ~answer_receiver();
  answer_receiver(const answer_receiver&) = delete;
  answer_receiver& operator=(const answer_receiver&) = delete;

  struct arrival {
    std::uint32_t flow;
    /// When the kernel received it, by monotonic_now().
    nanoseconds at;
    /// The first answer_head_size bytes; valid until the next receive().
    bytes_view head;
    /// Bytes of the whole.
    std::size_t size;
  };
  /// Waits for arrivals, up to a time, and returns a batch of them; an empty one where none came, or only errors.
  const std::vector<arrival>& receive(std::chrono::milliseconds up_to);

  /// ICMP errors that the sockets reported, and the last one's errno.
  std::uint64_t icmp_errors() const noexcept { return icmp_errors_; }
  int last_icmp_error() const noexcept { return last_icmp_error_; }

 private:
  static constexpr std::size_t batch = 32;
  struct slot;
  void drain(std::uint32_t flow);

  const flow_sockets& flows_;
  int epoll_;
  std::vector<slot> slots_;
  std::vector<mmsghdr> messages_;
  std::vector<arrival> arrivals_;
  std::uint64_t icmp_errors_ = 0;
  int last_icmp_error_ = 0;
};

}  // namespace udppump::load
