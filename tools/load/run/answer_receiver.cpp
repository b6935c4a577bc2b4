#include "load/run/answer_receiver.hpp"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <span>
#include <system_error>
#include <thread>

#include "load/run/paced_sender.hpp"
#include "load/run/receive_time.hpp"
#include "load/run/system.hpp"

namespace udppump::load {

namespace {

/// Short beside how long a receive buffer of flow_sockets lasts.
constexpr std::chrono::milliseconds gathering{1};

}  // namespace

struct answer_receiver::slot {
  std::array<std::byte, answer_head_size> head;
  alignas(cmsghdr) std::array<std::byte, receive_time_space> control;
  iovec part;
};

answer_receiver::answer_receiver(const flow_sockets& flows)
    : flows_{flows}, epoll_{check(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1")}, slots_(batch), messages_(batch) {
  for (std::uint32_t flow = 0; flow < flows.size(); ++flow) {
    epoll_event event{.events = EPOLLIN, .data = {.u32 = flow}};
    if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, flows[flow].fd(), &event) == 0) continue;
    const int error = errno;
    ::close(epoll_);
    throw std::system_error{error, std::generic_category(), "epoll_ctl"};
  }
}

answer_receiver::~answer_receiver() { ::close(epoll_); }

const std::vector<answer_receiver::arrival>& answer_receiver::receive(std::chrono::milliseconds up_to) {
  arrivals_.clear();
  if (next_ready_ == ready_.size()) wait(up_to);
  if (next_ready_ < ready_.size()) drain(ready_[next_ready_++]);
  return arrivals_;
}

void answer_receiver::wait(std::chrono::milliseconds up_to) {
  // Not in epoll_wait(), where each arrival would wake it.
  if (!ready_.empty()) std::this_thread::sleep_for(gathering);
  ready_.clear();
  next_ready_ = 0;
  std::array<epoll_event, flows_at_once> events;
  const int count =
      repeat([&] { return ::epoll_wait(epoll_, events.data(), events.size(), static_cast<int>(up_to.count())); });
  check(count, "epoll_wait");
  for (const auto& each : std::span{events}.first(static_cast<std::size_t>(count))) ready_.push_back(each.data.u32);
}

void answer_receiver::drain(std::uint32_t flow) {
  for (std::size_t i = 0; i < batch; ++i) {
    slot& each = slots_[i];
    each.part = {.iov_base = each.head.data(), .iov_len = each.head.size()};
    messages_[i] = {};
    messages_[i].msg_hdr.msg_iov = &each.part;
    messages_[i].msg_hdr.msg_iovlen = 1;
    messages_[i].msg_hdr.msg_control = each.control.data();
    messages_[i].msg_hdr.msg_controllen = each.control.size();
  }
  // MSG_TRUNC: the real length of what is longer than its slot (recv(2)).
  const int count =
      repeat([&] { return ::recvmmsg(flows_[flow].fd(), messages_.data(), batch, MSG_DONTWAIT | MSG_TRUNC, nullptr); });
  if (count < 0) {
    if (errno == EAGAIN) return;
    if (!is_icmp_error(errno)) check(count, "recvmmsg");
    ++icmp_errors_;
    last_icmp_error_ = errno;
    return;
  }
  const nanoseconds wall_ahead = wall_ahead_of_monotonic();
  const nanoseconds now = monotonic_now();
  for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
    const auto stamped = receive_time(messages_[i].msg_hdr);
    const std::size_t size = messages_[i].msg_len;
    arrivals_.push_back({.flow = flow,
                         // Should the wall clock have been set since the datagram came, now is the better answer.
                         .at = stamped && *stamped - wall_ahead <= now ? *stamped - wall_ahead : now,
                         .head = bytes_view{slots_[i].head}.first(std::min(size, answer_head_size)),
                         .size = size});
  }
}

}  // namespace udppump::load
