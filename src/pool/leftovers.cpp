#include "pool/leftovers.hpp"

#include <poll.h>

#include <algorithm>
#include <array>
#include <string>

#include "pool/counted.hpp"
#include "sys/sys.hpp"

namespace udppump::detail {

namespace {

/// They may come as fast as they are taken.
constexpr std::size_t most_counted = 1'000'000;

/// Takes what waits there now.
std::size_t take_all(const datagram_socket& socket) {
  std::array<std::byte, 1> start{};
  std::size_t taken = 0;
  while (taken < most_counted && !socket.receive(start).error) ++taken;
  return taken;
}

}  // namespace

bool anything_waits(const std::vector<datagram_socket>& sockets) {
  std::vector<pollfd> set;
  for (const datagram_socket& one : sockets) set.push_back({.fd = one.fd(), .events = POLLIN, .revents = 0});
  return sys::poll(set.data(), set.size(), 0) > 0 &&
         std::any_of(set.begin(), set.end(), [](const pollfd& one) { return (one.revents & POLLIN) != 0; });
}

void log_leftovers(const pool_sockets& sockets, bool are_kept, const pool_log& log) {
  for (std::size_t at = 0; at < sockets.size(); ++at) {
    const datagram_socket& socket = sockets.all()[at];
    const std::string where = sockets.description(at);
    if (are_kept || sockets.called()[at].from_service_manager) {
      pollfd look{.fd = socket.fd(), .events = POLLIN, .revents = 0};
      if (sys::poll(&look, 1, 0) > 0 && (look.revents & POLLIN) != 0) {
        log.notice("left", "datagrams wait in the queue of " + where + " for whoever serves it next");
      }
      continue;
    }
    const std::size_t count = take_all(socket);
    if (count == 0) continue;
    log.warning("left",
                counted(count, "datagram") + " in the queue of " + where + " had not been served, " +
                    (count == 1 ? "and is lost" : "and are lost"),
                {{"socket", where}, {"datagrams", std::to_string(count)}});
  }
}

}  // namespace udppump::detail
