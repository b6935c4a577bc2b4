#include "support/peer_workers.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <iterator>

#include "support/contenders.hpp"

namespace bench {
namespace {

std::vector<udppump::datagram_socket> bind_all(const peer& which, const peer_workers_options& options) {
  const std::size_t count = which.sharded ? options.workers : 1;
  const udppump::socket_options each{.receive_buffer = options.receive_buffer / count, .reuse_port = which.sharded};
  std::vector<udppump::datagram_socket> sockets;
  auto where = udppump::address::parse("127.0.0.1:0");
  for (std::size_t i = 0; i < count; ++i)
    where = sockets.emplace_back(udppump::datagram_socket::bind(where, each)).local();
  return sockets;
}

std::vector<int> descriptors_of(const std::vector<udppump::datagram_socket>& sockets) {
  std::vector<int> descriptors;
  for (const auto& socket : sockets) descriptors.push_back(socket.fd());
  return descriptors;
}

std::string path_of(const peer& which) {
  return std::filesystem::read_symlink("/proc/self/exe").parent_path() / "peers" / which.program;
}

}  // namespace

std::vector<peer> all_peers() {
  std::vector<peer> all{
      {"recvfrom", "recvfrom"},     {"recvfrom-blocked", "recvfrom"},
      {"recvmmsg", "recvmmsg"},     {"epoll", "epoll"},
      {"epoll-exclusive", "epoll"}, {"reuseport-epoll", "epoll", true},
      {"libevent", "libevent"},     {"libuv", "libuv"},
      {"libuv-recvmmsg", "libuv"},  {"asio", "asio"},
      {"asio-coroutine", "asio"},   {"seed-2006", "seed_2006"},
  };
  const auto waiters = available_waiters();
  if (std::ranges::find(waiters, udppump::waiter_kind::uring) != waiters.end()) {
    all.push_back({"uring-multishot", "uring_multishot"});
  }
  for (const auto waiter : waiters) {
    all.push_back({fmt::format("udppump-run-{}", udppump::to_string(waiter)), "udppump"});
    if (!serves_event_loops(waiter)) continue;
    all.push_back({fmt::format("udppump-libevent-{}", udppump::to_string(waiter)), "udppump"});
  }
  return all;
}

std::vector<peer> peers_named(const std::vector<std::string>& names) {
  const auto all = all_peers();
  std::vector<peer> found;
  for (const auto& name : names)
    std::ranges::copy_if(all, std::back_inserter(found), [&](const peer& each) { return each.name == name; });
  return found;
}

peer_workers::peer_workers(const peer& which, const peer_workers_options& options)
    : sockets_{bind_all(which, options)},
      server_{sockets_.front().local()},
      processes_{options.workers,
                 path_of(which),
                 {"--as", which.name, "--handler", options.handler, "--workers", std::to_string(options.workers),
                  "--inherited", std::to_string(sockets_.size())},
                 descriptors_of(sockets_),
                 options.processor} {
  processes_.wait_until_parked();
}

}  // namespace bench
