#include "udppump/datagram_socket.hpp"

#include <netinet/in.h>

#include <chrono>
#include <thread>

#include "socket/address_owner.hpp"
#include "socket/socket_error.hpp"
#include "socket/socket_name.hpp"
#include "sys/failure.hpp"
#include "sys/service_path.hpp"
#include "sys/sys.hpp"

namespace udppump {

using detail::fail;
using detail::fail_with_cure;

namespace {

/// A Unix path that a dead process left behind: there is a socket, and nobody answers there (ECONNREFUSED, which
/// anything else than a socket gives as well).
bool is_abandoned(const address& local) {
  const std::string path = detail::path_of(local);
  if (path.empty() || detail::is_no_socket(path)) return false;
  const detail::descriptor probe{sys::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  return probe && sys::connect(probe.fd(), local.data(), local.size()) == -ECONNREFUSED;
}

int bind_to(const detail::descriptor& socket, const address& local) {
  const int bound = sys::bind(socket.fd(), local.data(), local.size());
  if (bound != -EADDRINUSE || !is_abandoned(local)) return bound;
  const detail::service_path there{"bind", local.unix_path(), {}, detail::sticky_folder::accepted};
  return there.remove_dead_socket() ? sys::bind(socket.fd(), local.data(), local.size()) : bound;
}

/// The kernel ends the rings of io_uring some time after the process that had them has ended, and with them receives
/// that keep their socket: up to 28 ms after waitpid(2) were seen on Linux 6.18. 300 ms are waited.
constexpr std::chrono::milliseconds between_binds{5};
constexpr std::chrono::milliseconds longest_wait{300};

/// Whether the address is taken, and yet by no process that can be seen.
bool is_nobodys(const address& local) {
  if (!local.is_unix() && local.port() == 0) return false;  // no port is free
  if (const std::string path = detail::path_of(local); !path.empty() && detail::is_no_socket(path)) return false;
  return detail::owner_of(local).process.empty();
}

}  // namespace

datagram_socket datagram_socket::make(const address& for_whom) {
  const int family = for_whom.family();
  const int made = sys::socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (made < 0) detail::fail_to_make(made, for_whom);
  return {detail::descriptor{made}, family};
}

datagram_socket datagram_socket::bind(const address& local, const socket_options& options) {
  if (local.is_none()) fail(EINVAL, "bind: no address given; name one, such as 127.0.0.1:0");
  datagram_socket made = make(local);
  // Only a wish here: some systems refuse it.
  if (made.family_ == AF_INET6 && options.v6only == setting::automatic && local.is_wildcard()) {
    static_cast<void>(sys::setsockopt(made.fd(), IPPROTO_IPV6, IPV6_V6ONLY, 0));
  }
  made.set_options(local, options);
  int bound = bind_to(made.fd_, local);
  if (bound == -EADDRINUSE && is_nobodys(local)) {  // asked once: who has it is looked for in all processes
    const auto until = std::chrono::steady_clock::now() + longest_wait;
    while (bound == -EADDRINUSE && std::chrono::steady_clock::now() < until) {
      std::this_thread::sleep_for(between_binds);
      bound = bind_to(made.fd_, local);
    }
  }
  if (bound < 0) detail::fail_to_bind(bound, local);
  made.read_back();
  return made;
}

datagram_socket datagram_socket::connect(const address& peer, const socket_options& options) {
  if (peer.is_none()) fail(EINVAL, "connect: no address given; name one, such as 192.0.2.1:53");
  datagram_socket made = make(peer);
  made.set_options(address{}, options);
  const int connected = sys::connect(made.fd(), peer.data(), peer.size());
  if (connected < 0) detail::fail_to_connect(connected, peer, options.broadcast);
  made.read_back();
  return made;
}

datagram_socket datagram_socket::adopt(int fd, const socket_options& options) {
  const std::string what = "adopting descriptor " + std::to_string(fd);
  int type = 0;
  const int asked = sys::getsockopt(fd, SOL_SOCKET, SO_TYPE, type);
  if (asked < 0) fail_with_cure(asked, what);
  if (type != SOCK_DGRAM && type != SOCK_RAW) {
    fail(EPROTOTYPE, what + ": no datagram socket, and streams are not served; give a datagram socket");
  }
  address local;
  const int named = detail::local_name(fd, local);
  if (named < 0) fail_with_cure(named, what);
  datagram_socket made{detail::descriptor{fd}, local.family()};
  try {
    made.set_options(local, options);
  } catch (...) {
    static_cast<void>(made.release());  // still the caller's
    throw;
  }
  made.read_back();
  return made;
}

address datagram_socket::local() const noexcept {
  address name;
  static_cast<void>(detail::local_name(fd(), name));
  return name;
}

address datagram_socket::peer() const noexcept {
  address name;
  static_cast<void>(detail::peer_name(fd(), name));
  return name;
}

}  // namespace udppump
