#include "load/run/worker_loop.hpp"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <system_error>
#include <udppump/pump.hpp>
#include <vector>

#include "load/run/receive_time.hpp"
#include "load/run/system.hpp"

namespace udppump::load {
namespace {

void count(work_counts& counts, bool served) noexcept {
  (served ? counts.served : counts.refused).fetch_add(1, std::memory_order_relaxed);
}

}  // namespace

void serve_by_pump(datagram_socket& socket, waiter_kind waiter, work_service& service, work_counts& counts,
                   const ready_function& ready) {
  const auto work = [&](datagram& received) {
    const auto answer = service.serve(received.payload, received.age());
    if (answer) static_cast<void>(received.reply(*answer));  // a client that is gone is its own affair
    count(counts, answer.has_value());
  };
  pump pump{socket, work, {}, waiter};
  ready(to_string(pump.waiter().kind));
  if (const auto error = pump.run()) throw std::system_error{error, "pump"};
}

void serve_by_epoll(datagram_socket& socket, work_service& service, work_counts& counts, const ready_function& ready) {
  const int epoll = check(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
  epoll_event event{.events = EPOLLIN, .data = {.fd = socket.fd()}};
  check(::epoll_ctl(epoll, EPOLL_CTL_ADD, socket.fd(), &event), "epoll_ctl");
  std::vector<std::byte> payload(65'535);
  alignas(cmsghdr) std::array<std::byte, receive_time_space> control;
  ready("epoll");
  for (;;) {
    check(repeat([&] { return ::epoll_wait(epoll, &event, 1, -1); }), "epoll_wait");
    for (;;) {
      address from;
      iovec part{.iov_base = payload.data(), .iov_len = payload.size()};
      msghdr message{};
      message.msg_name = from.buffer();
      message.msg_namelen = address::capacity;
      message.msg_iov = &part;
      message.msg_iovlen = 1;
      message.msg_control = control.data();
      message.msg_controllen = control.size();
      const ssize_t size = repeat([&] { return ::recvmsg(socket.fd(), &message, MSG_DONTWAIT); });
      if (size < 0 && errno == EAGAIN) break;
      check(size, "recvmsg");
      from.resize(message.msg_namelen);
      const auto received = receive_time(message);
      const auto waited = received ? std::optional{std::max(wall_now() - *received, nanoseconds{0})} : std::nullopt;
      const auto answer = service.serve(std::span{payload}.first(static_cast<std::size_t>(size)), waited);
      if (answer) static_cast<void>(socket.send_to(*answer, from));
      count(counts, answer.has_value());
    }
  }
}

}  // namespace udppump::load
