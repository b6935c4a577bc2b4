#pragma once

#include <chrono>
#include <optional>
#include <span>
#include <string>
#include <system_error>
#include <udppump/datagram_socket.hpp>
#include <utility>
#include <vector>

#include "support/serve.hpp"

/// Whether there is IPv6 here; many containers are without.
inline bool has_ipv6() {
  static const bool has = [] {
    try {
      static_cast<void>(bound({}, "[::1]:0"));
      return true;
    } catch (const std::system_error&) {
      return false;
    }
  }();
  return has;
}

/// A socket that takes joined datagrams (UDP_GRO); if this kernel has none, one whose control().segments is false.
inline udppump::datagram_socket bound_for_joined() {
  try {
    return bound({.receive_offload = true});
  } catch (const std::system_error&) {
    return bound();
  }
}

/// Of these places to bind to, those that this machine has.
inline std::vector<const char*> available(std::vector<const char*> places) {
  if (!has_ipv6()) std::erase_if(places, [](const char* place) { return *place == '['; });
  return places;
}

/// The next datagram's payload; nothing if none comes in time.
inline std::optional<std::string> received(const udppump::datagram_socket& socket, udppump::address* from,
                                           std::chrono::milliseconds within = patience) {
  std::string buffer(70'000, '\0');
  const auto came = socket.receive(std::as_writable_bytes(std::span{buffer}), within);
  if (!came) return {};
  if (from != nullptr) *from = came.from;
  buffer.resize(came.payload.size());
  return buffer;
}
inline std::optional<std::string> received(const udppump::datagram_socket& socket,
                                           std::chrono::milliseconds within = patience) {
  return received(socket, nullptr, within);
}

/// Everything that waits at a socket; at least `count` datagrams, or what came in time.
inline std::vector<std::string> all_received(const udppump::datagram_socket& socket, std::size_t count) {
  std::vector<std::string> all;
  while (all.size() < count || readable(socket.fd())) {
    auto one = received(socket);
    if (!one) break;
    all.push_back(std::move(*one));
  }
  return all;
}

inline udppump::address with_port_of(const char* host, const udppump::datagram_socket& socket) {
  return udppump::address::parse(std::string{host} + ":0").with_port(socket.local().port());
}

/// An address where nobody listens any more. Sockets that are made before it have another port for certain.
inline udppump::address dead_peer(const char* host = "127.0.0.1:0") { return bound({}, host).local(); }

inline udppump::datagram_socket connected_to_dead_peer(const char* host) {
  for (;;) {
    auto socket = udppump::datagram_socket::connect(dead_peer(host));
    if (socket.local() != socket.peer()) return socket;  // not the very port that was given back
  }
}

/// Sends to a port where nobody listens, and waits until the socket has the kernel's answer.
inline bool provoke_icmp_error(const udppump::datagram_socket& socket, const udppump::address& dead) {
  static_cast<void>(socket.send_to("x", dead));
  return eventually([&] {
    pollfd one{.fd = socket.fd(), .events = 0, .revents = 0};
    return ::poll(&one, 1, 0) == 1 && (one.revents & POLLERR) != 0;
  });
}

/// Where a socket may be bound, and the host of a peer that it speaks to.
struct way_to_peer {
  const char* local;
  const char* host;
};
/// IPv4, IPv6, and both from a dual-stack socket.
inline std::vector<way_to_peer> ways_to_a_dead_peer() {
  std::vector<way_to_peer> ways{{"127.0.0.1:0", "127.0.0.1:0"}};
  if (has_ipv6()) ways.insert(ways.end(), {{"[::1]:0", "[::1]:0"}, {"[::]:0", "127.0.0.1:0"}, {"[::]:0", "[::1]:0"}});
  return ways;
}
