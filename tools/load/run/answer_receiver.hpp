#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "load/plan/clock.hpp"
#include "load/plan/request_template.hpp"
#include "load/run/flow_sockets.hpp"

namespace udppump::load {

/// Reads what comes in on the sockets of a run. Belongs to one thread.
///
/// It does not look at every answer when that comes, but at all that came in a millisecond. The kernel has noted when
/// each arrived, so nothing is measured less exactly, and a server on the same machine does not have to wake a client
/// with each answer, which would take its time, and whose thread would take its processor.
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
  /// Waits for arrivals, up to a time, and returns a batch of them, all of one flow; an empty one if none came, or
  /// only errors.
  const std::vector<arrival>& receive(std::chrono::milliseconds up_to);

  /// ICMP errors that the sockets reported, and the last one's errno.
  std::uint64_t icmp_errors() const noexcept { return icmp_errors_; }
  int last_icmp_error() const noexcept { return last_icmp_error_; }

 private:
  static constexpr std::size_t batch = 32;
  static constexpr std::size_t flows_at_once = 64;
  void wait(std::chrono::milliseconds up_to);
  void drain(std::uint32_t flow);

  const flow_sockets& flows_;
  int epoll_;
  std::vector<std::array<std::byte, answer_head_size>> heads_;
  std::vector<arrival> arrivals_;
  /// Flows that have something, by number; those before next_ready_ have been read.
  std::vector<std::uint32_t> ready_;
  std::size_t next_ready_ = 0;
  std::uint64_t icmp_errors_ = 0;
  int last_icmp_error_ = 0;
};

}  // namespace udppump::load
