#include "support/echo_client.hpp"

#include <netinet/in.h>
#include <netinet/udp.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

namespace bench {
namespace {

using namespace std::chrono_literals;

void set(int socket, int level, int option, int value, const char* call) {
  check_call(setsockopt(socket, level, option, &value, sizeof value), call);
}

}  // namespace

echo_client::echo_client(const udppump::address& server)
    : socket_{check_call(::socket(server.family(), SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket")},
      waiting_(most_outstanding) {
  set(socket_.fd(), SOL_SOCKET, SO_RCVBUF, 4 << 20, "setsockopt SO_RCVBUF");
  set(socket_.fd(), SOL_UDP, UDP_SEGMENT, request_size, "setsockopt UDP_SEGMENT");
  check_call(connect(socket_.fd(), server.data(), server.size()), "connect");
  for (std::size_t i = 0; i < batch; ++i) {
    parts_[i] = {.iov_base = &answers_[i * request_size], .iov_len = request_size};
    messages_[i].msg_hdr.msg_iov = &parts_[i];
    messages_[i].msg_hdr.msg_iovlen = 1;
  }
}

echo_run echo_client::closed_loop(std::size_t window, nanoseconds time) {
  const std::size_t together = std::min(batch, window) / 2;
  echo_run result;
  begin();
  const auto start = wall_time();
  auto now = start, last_sent = start, last_answer = start;
  for (;;) {
    const bool sending = now - start < time;
    const bool sends = sending && outstanding() + together <= window;
    if (sends) send(together);
    const bool receives = receive() > 0;
    const auto then = std::exchange(now, wall_time());
    if (sends) last_sent = now;
    if (receives) last_answer = now;
    if (!sends && !receives) result.idle += now - then;
    if (!sending && outstanding() == 0) break;
    if (now - std::max(last_answer, last_sent) > 500ms) break;
  }
  result.sent = next_ - first_;
  result.answered = answered_;
  result.took = last_answer - start;
  result.backlog = last_answer - last_sent;
  return result;
}

echo_run echo_client::paced(double per_second, nanoseconds time) {
  echo_run result;
  begin();
  const auto start = wall_time();
  const auto total = static_cast<std::uint64_t>(per_second * std::chrono::duration<double>{time}.count());
  auto now = start, last_sent = start, last_answer = start;
  for (;;) {
    const auto due = std::min(
        total, 1 + static_cast<std::uint64_t>(per_second * std::chrono::duration<double>{now - start}.count()));
    const auto sends = static_cast<std::size_t>(std::min<std::uint64_t>(batch, due - (next_ - first_)));
    if (sends > 0) send(sends);
    const bool receives = receive() > 0;
    const auto then = std::exchange(now, wall_time());
    if (sends > 0) last_sent = now;
    if (receives) last_answer = now;
    if (sends == 0 && !receives) result.idle += now - then;
    if (next_ - first_ < total) continue;
    if (outstanding() == 0 || now - std::max(last_answer, last_sent) > 100ms) break;
  }
  result.sent = next_ - first_;
  result.answered = answered_;
  result.took = last_answer - start;
  result.backlog = last_answer - last_sent;
  result.offered =
      static_cast<double>(result.sent) / std::chrono::duration<double>{std::max(time, last_sent - start)}.count();
  return result;
}

/// What an earlier run lost is not missed any more.
void echo_client::begin() {
  std::fill(waiting_.begin(), waiting_.end(), false);
  first_ = next_;
  answered_ = 0;
}

void echo_client::send(std::size_t count) {
  for (std::size_t i = 0; i < count; ++i, ++next_) {
    if (waiting_[next_ % most_outstanding]) throw std::runtime_error{"echo: too many requests are outstanding"};
    waiting_[next_ % most_outstanding] = true;
    std::memcpy(&requests_[i * request_size], &next_, sizeof next_);
  }
  check_call(::send(socket_.fd(), requests_.data(), count * request_size, 0), "send");
}

std::size_t echo_client::receive() {
  const int taken = recvmmsg(socket_.fd(), messages_.data(), batch, 0, nullptr);
  if (taken < 0) {
    if (errno != EAGAIN) throw std::system_error{errno, std::generic_category(), "recvmmsg"};
    return 0;
  }
  const auto count = static_cast<std::size_t>(taken);
  for (std::size_t i = 0; i < count; ++i) match(&answers_[i * request_size], messages_[i].msg_len);
  return count;
}

void echo_client::match(const std::byte* answer, std::size_t size) {
  std::uint64_t number = 0;
  std::memcpy(&number, answer, sizeof number);
  if (size == request_size && number < first_) return;  // given up by an earlier run
  if (size != request_size || number >= next_ || !waiting_[number % most_outstanding]) {
    throw std::runtime_error{"echo: an answer that nobody waits for"};
  }
  waiting_[number % most_outstanding] = false;
  ++answered_;
}

}  // namespace bench
