#include "support/queue_filler.hpp"

#include <fmt/format.h>
#include <linux/sock_diag.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <stdexcept>
#include <thread>

namespace bench {

queue_filler::queue_filler(const udppump::datagram_socket& target, std::size_t payload, std::size_t most,
                           std::size_t clients)
    : target_{target.fd()}, payload_(payload), capacity_{most} {
  const auto to = target.local();
  for (std::size_t client = 0; client < clients; ++client) {
    senders_.emplace_back(check_call(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket"));
    const auto from = udppump::address::parse(fmt::format("127.0.{}.1:0", client));
    if (clients > 1) check_call(bind(senders_.back().fd(), from.data(), from.size()), "bind");
    check_call(connect(senders_.back().fd(), to.data(), to.size()), "connect");
  }
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
  if (senders_.size() > 1) {
    for (std::size_t sent = 0; sent < count; ++sent) {
      check_call(::send(senders_[sent % senders_.size()].fd(), payload_.data(), payload_.size(), 0), "send");
    }
    return;
  }
  constexpr std::size_t batch = 64;
  iovec part{.iov_base = payload_.data(), .iov_len = payload_.size()};
  std::array<mmsghdr, batch> messages{};
  for (auto& message : messages) {
    message.msg_hdr.msg_iov = &part;
    message.msg_hdr.msg_iovlen = 1;
  }
  for (std::size_t sent = 0; sent < count;) {
    const auto now = static_cast<unsigned>(std::min(batch, count - sent));
    sent += static_cast<std::size_t>(check_call(sendmmsg(senders_.front().fd(), messages.data(), now, 0), "sendmmsg"));
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
