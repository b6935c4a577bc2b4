#include "support/queue_filler.hpp"

#include <linux/sock_diag.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <stdexcept>
#include <thread>

namespace bench {

queue_filler::queue_filler(const udppump::datagram_socket& target, std::size_t payload, std::size_t most)
    : target_{target.fd()},
      sender_{check_call(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket")},
      payload_(payload),
      capacity_{most} {
  const auto to = target.local();
  check_call(connect(sender_.fd(), to.data(), to.size()), "connect");
  send(1);
  charge_ = queued_bytes();
  if (charge_ == 0) throw std::runtime_error{"queue_filler: a datagram sent to itself did not arrive"};
  discard_all();
  // A quarter stays free: the kernel gives room back in batches (udp_rmem_release() in net/ipv4/udp.c).
  if (const std::size_t took = fill(most); took < most) capacity_ = std::max<std::size_t>(took * 3 / 4, 1);
  discard_all();
}

std::size_t queue_filler::fill(std::size_t count) {
  send(count);
  // On a busy machine the last ones may still be on their way through loopback.
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds{20};
  while (queued_bytes() / charge_ < count && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  return queued_bytes() / charge_;
}

void queue_filler::send(std::size_t count) {
  constexpr std::size_t batch = 64;
  iovec part{.iov_base = payload_.data(), .iov_len = payload_.size()};
  std::array<mmsghdr, batch> messages{};
  for (auto& message : messages) {
    message.msg_hdr.msg_iov = &part;
    message.msg_hdr.msg_iovlen = 1;
  }
  for (std::size_t sent = 0; sent < count;) {
    const auto now = static_cast<unsigned>(std::min(batch, count - sent));
    sent += static_cast<std::size_t>(check_call(sendmmsg(sender_.fd(), messages.data(), now, 0), "sendmmsg"));
  }
}

std::uint32_t queue_filler::queued_bytes() const {
  std::array<std::uint32_t, SK_MEMINFO_VARS> memory{};
  socklen_t size = sizeof memory;
  check_call(getsockopt(target_, SOL_SOCKET, SO_MEMINFO, memory.data(), &size), "getsockopt SO_MEMINFO");
  return memory[SK_MEMINFO_RMEM_ALLOC];
}

void queue_filler::discard_all() const {
  char byte = 0;
  while (recv(target_, &byte, 1, MSG_DONTWAIT) >= 0) {
  }
}

}  // namespace bench
