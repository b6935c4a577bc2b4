#include "load/run/worker_loop.hpp"

#include <sys/epoll.h>

#include <algorithm>
#include <system_error>
#include <udppump/pump.hpp>
#include <udppump/pump_group.hpp>
#include <vector>

#include "load/run/system.hpp"

namespace udppump::load {
namespace {

void count(work_counts& counts, bool served, const work_service& service) noexcept {
  counts.asked.store(service.asked().count(), std::memory_order_relaxed);
  counts.used.store(service.used().count(), std::memory_order_relaxed);
  (served ? counts.served : counts.refused).fetch_add(1, std::memory_order_relaxed);
}

}  // namespace

void serve_by_pumps(std::span<datagram_socket> sockets, waiter_kind waiter, const drop_rules& drops,
                    work_service& service, work_counts& counts, const ready_function& ready) {
  const auto work = [&](datagram& received) {
    const auto answer = service.serve(received.payload, received.age());
    if (answer) received.reply(*answer);  // a client that is gone is its own affair
    count(counts, answer.has_value(), service);
  };
  const auto expired = [&counts](datagram&, nanoseconds) { counts.expired.fetch_add(1, std::memory_order_relaxed); };
  const auto limited = [&counts](datagram&) { counts.limited.fetch_add(1, std::memory_order_relaxed); };
  const pump_options options{.max_age = drops.max_age,
                             .client_limit = drops.client_limit,
                             .client_share = drops.client_share,
                             .on_expired = expired,
                             .on_limited = limited};
  const auto serve = [&](auto& pumps) {
    ready(to_string(run_waiter(waiter).kind));
    if (const auto error = pumps.run()) throw failed_call("serving", error);
  };
  if (sockets.size() == 1) {
    pump alone{sockets.front(), work, options, waiter};
    return serve(alone);
  }
  pump_group group{{.waiter = waiter}};
  std::vector<grouped_pump> members;
  for (auto& socket : sockets) members.push_back(group.add(socket, work, options));
  serve(group);
}

void serve_by_epoll(datagram_socket& socket, work_service& service, work_counts& counts, const ready_function& ready) {
  const int epoll = check_call(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
  epoll_event event{.events = EPOLLIN, .data = {.fd = socket.fd()}};
  check_call(::epoll_ctl(epoll, EPOLL_CTL_ADD, socket.fd(), &event), "epoll_ctl");
  std::vector<std::byte> payload(65'535);
  ready("epoll");
  for (;;) {
    check_call(repeat([&] { return ::epoll_wait(epoll, &event, 1, -1); }), "epoll_wait");
    for (;;) {
      const auto came = socket.receive(payload);
      if (came.error == std::errc::resource_unavailable_try_again) break;
      if (!came) throw failed_call("receiving", came.error);
      const auto answer = service.serve(came.payload, came.age());
      if (answer) static_cast<void>(socket.send_to(*answer, came.from));
      count(counts, answer.has_value(), service);
    }
  }
}

}  // namespace udppump::load
