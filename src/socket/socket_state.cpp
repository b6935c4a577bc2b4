#include "socket/socket_state.hpp"

#include <netinet/in.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <iterator>

#include "address/raw_address.hpp"
#include "socket/interfaces.hpp"
#include "socket/socket_name.hpp"
#include "sys/failure.hpp"
#include "sys/sys.hpp"

#include <netinet/udp.h>

namespace udppump::detail {

namespace {

using result = socket_state::change::result;

// Younger than the C library's headers.
constexpr int udp_no_check6_tx = 101, udp_no_check6_rx = 102;

/// What one setsockopt() undoes. Where a family does not know an option, it cannot be read, and is left out.
struct known_option {
  int level, option;
  const char* name;
  bool is_programs_own;
};
constexpr known_option known_options[] = {
    {SOL_SOCKET, SO_BROADCAST, "SO_BROADCAST", true},
    {SOL_SOCKET, SO_DONTROUTE, "SO_DONTROUTE", false},
    {SOL_SOCKET, SO_MARK, "SO_MARK", true},
    {SOL_SOCKET, SO_MAX_PACING_RATE, "SO_MAX_PACING_RATE", true},
    {SOL_SOCKET, SO_NO_CHECK, "SO_NO_CHECK", true},
    {SOL_SOCKET, SO_PASSCRED, "SO_PASSCRED", true},
    {SOL_SOCKET, SO_PEEK_OFF, "SO_PEEK_OFF", true},
    {SOL_SOCKET, SO_PRIORITY, "SO_PRIORITY", true},
    {SOL_SOCKET, SO_RCVLOWAT, "SO_RCVLOWAT", true},
    {SOL_SOCKET, SO_REUSEADDR, "SO_REUSEADDR", true},
    {SOL_SOCKET, SO_REUSEPORT, "SO_REUSEPORT", true},
    {SOL_SOCKET, SO_TIMESTAMPNS, "SO_TIMESTAMPNS", true},
    {IPPROTO_IP, IP_TTL, "IP_TTL", true},
    {IPPROTO_IP, IP_TOS, "IP_TOS", true},
    {IPPROTO_IP, IP_PKTINFO, "IP_PKTINFO", true},
    {IPPROTO_IP, IP_RECVTOS, "IP_RECVTOS", true},
    {IPPROTO_IP, IP_RECVERR, "IP_RECVERR", true},
    {IPPROTO_IP, IP_MTU_DISCOVER, "IP_MTU_DISCOVER", true},
    {IPPROTO_IP, IP_MULTICAST_TTL, "IP_MULTICAST_TTL", true},
    {IPPROTO_IP, IP_MULTICAST_ALL, "IP_MULTICAST_ALL", true},
    {IPPROTO_IP, IP_UNICAST_IF, "IP_UNICAST_IF", true},
    {IPPROTO_IPV6, IPV6_UNICAST_HOPS, "IPV6_UNICAST_HOPS", true},
    {IPPROTO_IPV6, IPV6_TCLASS, "IPV6_TCLASS", true},
    {IPPROTO_IPV6, IPV6_RECVPKTINFO, "IPV6_RECVPKTINFO", true},
    {IPPROTO_IPV6, IPV6_RECVTCLASS, "IPV6_RECVTCLASS", true},
    {IPPROTO_IPV6, IPV6_RECVERR, "IPV6_RECVERR", true},
    {IPPROTO_IPV6, IPV6_MTU_DISCOVER, "IPV6_MTU_DISCOVER", true},
    {IPPROTO_IPV6, IPV6_MULTICAST_HOPS, "IPV6_MULTICAST_HOPS", true},
    {IPPROTO_IPV6, IPV6_MULTICAST_ALL, "IPV6_MULTICAST_ALL", true},
    {IPPROTO_IPV6, IPV6_UNICAST_IF, "IPV6_UNICAST_IF", true},
    {IPPROTO_IPV6, IPV6_DONTFRAG, "IPV6_DONTFRAG", true},
    {IPPROTO_UDP, UDP_CORK, "UDP_CORK", false},
    {IPPROTO_UDP, UDP_ENCAP, "UDP_ENCAP", false},
    {IPPROTO_UDP, udp_no_check6_tx, "UDP_NO_CHECK6_TX", true},
    {IPPROTO_UDP, udp_no_check6_rx, "UDP_NO_CHECK6_RX", true},
    {IPPROTO_UDP, UDP_SEGMENT, "UDP_SEGMENT", true},
    {IPPROTO_UDP, UDP_GRO, "UDP_GRO", true},
};

std::optional<int> read(int fd, const known_option& which) noexcept {
  int value = 0;
  if (sys::getsockopt(fd, which.level, which.option, value) < 0) return {};
  return value;
}

int number(int fd, int level, int option) noexcept {
  int value = 0;
  return sys::getsockopt(fd, level, option, value) < 0 ? 0 : value;
}

socket_state::change refused(std::string what, long error) {
  return {std::move(what), result::refused, code_of(error).message()};
}

/// What `done` came to; EPERM means that only a new socket helps.
socket_state::change outcome(std::string what, int done) {
  if (done >= 0) return {std::move(what), result::undone};
  if (done == -EPERM) return {std::move(what), result::needs_new_socket};
  return refused(std::move(what), done);
}

/// Somewhere that the socket can send to without leaving this machine.
address near(const address& local) {
  if (!local.is_wildcard()) return local;
  return local.is_ipv4() ? address_of(raw_ipv4({htonl(INADDR_LOOPBACK)}, local.port()))
                         : address_of(raw_ipv6(in6addr_loopback, 0, local.port()));
}

}  // namespace

bool socket_state::filter::operator==(const filter& other) const noexcept {
  return is_extended == other.is_extended && program.size() == other.program.size() &&
         (program.empty() ||
          std::memcmp(program.data(), other.program.data(), program.size() * sizeof(sock_filter)) == 0);
}

socket_state::socket_state(const datagram_socket& socket)
    : family_{socket.family()}, memberships_{socket.memberships()} {
  const int fd = socket.fd();
  const bool is_ip = family_ == AF_INET || family_ == AF_INET6;
  is_known_ = number(fd, SOL_SOCKET, SO_TYPE) == SOCK_DGRAM &&
              (family_ == AF_UNIX || (is_ip && number(fd, SOL_SOCKET, SO_PROTOCOL) == IPPROTO_UDP));
  if (!is_known_) return;
  local_ = socket.local();
  peer_ = socket.peer();
  filter_ = filter_of(fd);
  device_ = device_of(fd);
  device_index_ = device_index(fd);
  receive_buffer_ = number(fd, SOL_SOCKET, SO_RCVBUF);
  send_buffer_ = number(fd, SOL_SOCKET, SO_SNDBUF);
  is_v6only_ = family_ == AF_INET6 && number(fd, IPPROTO_IPV6, IPV6_V6ONLY) != 0;
  has_ip_options_ = has_ip_options(fd);
  for (const known_option& one : known_options) options_.push_back(read(fd, one));
}

socket_options socket_state::for_new_socket(socket_options options) const {
  if (family_ == AF_INET6) options.v6only = is_v6only_ ? setting::on : setting::off;
  options.reuse_port = family_ != AF_UNIX;
  return options;
}

std::vector<socket_state::change> socket_state::restore(int fd, sharers who) const {
  std::vector<change> changes;
  if (!is_known_) return changes;
  const auto note = [&changes](std::optional<change> one) {
    if (one) changes.push_back(std::move(*one));
  };
  restore_options(fd, who, changes);  // UDP_CORK would hide the rest
  note(restore_peer(fd));
  note(look_for_shutdown(fd));
  note(restore_filter(fd));
  note(restore_device(fd));
  note(restore_buffer(fd, SO_RCVBUF, SO_RCVBUFFORCE, receive_buffer_));
  note(restore_buffer(fd, SO_SNDBUF, SO_SNDBUFFORCE, send_buffer_));
  restore_memberships(fd, changes);
  return changes;
}

/// Where it fails tells what the socket is: there is nothing at this address to send, which the kernel finds last.
long socket_state::try_to_send(int fd, const address& to) const noexcept {
  long done = 0;
  for (int looks = 0; looks < 3; ++looks) {
    done = sys::sendto(fd, nullptr, 1, MSG_DONTWAIT | MSG_NOSIGNAL, to.is_none() ? nullptr : to.data(), to.size());
    if (done != -ECONNREFUSED && done != -EHOSTUNREACH && done != -ENETUNREACH) break;  // of an earlier send
  }
  return done;
}

/// The kernel does not name a peer whose port is 0, and receives only from its host all the same. But it refuses to
/// send without an address, unless there is a peer. (A Unix socket names its peer, and looks for an address last.)
std::optional<socket_state::change> socket_state::restore_peer(int fd) const {
  address peer, local;
  static_cast<void>(local_name(fd, local));
  // Where the kernel had chosen the port, a socket loses it with its peer (net/ipv4/udp.c: __udp_disconnect), and gets
  // any other when something is sent.
  if (local_.port() != 0 && local.port() == 0) {
    const std::string what = "taken off its port";
    return change{what, sys::bind(fd, local_.data(), local_.size()) < 0 ? result::needs_new_socket : result::undone};
  }
  static_cast<void>(peer_name(fd, peer));
  const bool may_be_hidden = peer.is_none() && peer_.is_none() && family_ != AF_UNIX;
  const bool is_connected = !peer.is_none() || (may_be_hidden && try_to_send(fd, {}) != -EDESTADDRREQ);
  if (peer == peer_ && is_connected == !peer_.is_none() && local == local_) return {};
  std::string what = peer_.is_none() ? "connected to " + (peer.is_none() ? "port 0 of some host" : peer.to_string())
                                     : "disconnected from " + peer_.to_string();
  if (peer == peer_ && is_connected == !peer_.is_none()) what = "bound to " + local.to_string();
  const sockaddr nobody{.sa_family = AF_UNSPEC, .sa_data = {}};
  if (is_connected) {
    const int done = sys::connect(fd, &nobody, sizeof nobody);
    if (done < 0) return refused(what, done);
  }
  static_cast<void>(local_name(fd, local));
  if (local != local_ && sys::bind(fd, local_.data(), local_.size()) < 0) return change{what, result::needs_new_socket};
  if (peer_.is_none()) return change{what, result::undone};
  return outcome(what, sys::connect(fd, peer_.data(), peer_.size()));
}

std::optional<socket_state::change> socket_state::look_for_shutdown(int fd) const {
  pollfd one{.fd = fd, .events = POLLRDHUP, .revents = 0};
  const bool deaf = sys::poll(&one, 1, 0) > 0 && (one.revents & (POLLRDHUP | POLLHUP)) != 0;
  const bool mute = try_to_send(fd, peer_.is_none() ? near(local_) : address{}) == -EPIPE;
  if (!deaf && !mute) return {};
  const std::string way = deaf && mute ? "" : deaf ? " for receiving" : " for sending";
  return change{"shut down" + way, result::needs_new_socket};
}

socket_state::filter socket_state::filter_of(int fd) {
  filter found;
  socklen_t count = 0;  // of instructions
  const int told = sys::getsockopt_sized(fd, SOL_SOCKET, SO_GET_FILTER, nullptr, count);
  if (told == -EACCES) found.is_extended = true;
  if (told < 0 || count == 0) return found;
  found.program.resize(count);
  if (sys::getsockopt_sized(fd, SOL_SOCKET, SO_GET_FILTER, found.program.data(), count) < 0) found.program.clear();
  return found;
}

std::optional<socket_state::change> socket_state::restore_filter(int fd) const {
  if (filter_of(fd) == filter_) return {};
  const bool had_one = filter_.is_extended || !filter_.program.empty();
  const std::string what = had_one ? "given another filter" : "given a filter";
  if (filter_.is_extended) return change{what, result::refused, "what it was cannot be known"};
  if (!had_one) return outcome(what, sys::setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, 0));
  const sock_fprog program{static_cast<unsigned short>(filter_.program.size()),
                           const_cast<sock_filter*>(filter_.program.data())};
  return outcome(what, sys::setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, program));
}

std::optional<socket_state::change> socket_state::restore_device(int fd) const {
  const std::string now = device_of(fd);
  // The index of an interface that is gone has no name. When it is back, pumps bind the socket to it again.
  if (now == device_ || device_index(fd) == device_index_) return {};
  return outcome(now.empty() ? "taken off device " + device_ : "bound to device " + now, bind_to_device(fd, device_));
}

std::optional<socket_state::change> socket_state::restore_buffer(int fd, int option, int force, int size) const {
  const int now = number(fd, SOL_SOCKET, option);
  if (now >= size) return {};
  const bool receives = option == SO_RCVBUF;
  const std::string what =
      std::string{"left with "} + std::to_string(now / 2) + " bytes of " + (receives ? "receive" : "send") + " buffer";
  static_cast<void>(sys::setsockopt(fd, SOL_SOCKET, option, size / 2));
  if (number(fd, SOL_SOCKET, option) >= size) return change{what, result::undone};
  static_cast<void>(sys::setsockopt(fd, SOL_SOCKET, force, size / 2));
  if (number(fd, SOL_SOCKET, option) >= size) return change{what, result::undone};
  return change{what, result::refused, std::string{"raise net.core."} + (receives ? "rmem_max" : "wmem_max")};
}

void socket_state::restore_options(int fd, sharers who, std::vector<change>& changes) const {
  for (std::size_t at = 0; at < std::size(known_options); ++at) {
    const known_option& one = known_options[at];
    const auto now = read(fd, one);
    if (!options_[at] || !now || *now == *options_[at] || (who == sharers::programs && one.is_programs_own)) continue;
    std::string what = std::string{"given "} + one.name + " = " + std::to_string(*now) + " instead of " +
                       std::to_string(*options_[at]);
    const int done = sys::setsockopt(fd, one.level, one.option, *options_[at]);
    changes.push_back(done < 0 ? refused(std::move(what), done) : change{std::move(what), result::undone});
  }
  if (has_ip_options_ || !has_ip_options(fd)) return;
  const int done = sys::setsockopt_text(fd, IPPROTO_IP, IP_OPTIONS, nullptr, 0);
  changes.push_back(done < 0 ? refused("given IP_OPTIONS", done) : change{"given IP_OPTIONS", result::undone});
}

/// Such as a route that answers are to take (ip(7)).
bool socket_state::has_ip_options(int fd) noexcept {
  std::array<std::byte, 40> options{};
  socklen_t size = options.size();
  return sys::getsockopt_sized(fd, IPPROTO_IP, IP_OPTIONS, options.data(), size) >= 0 && size != 0;
}

void socket_state::restore_memberships(int fd, std::vector<change>& changes) const {
  for (const auto& [group, interface] : memberships_) {
    const unsigned index = interface.empty() ? 0 : sys::interface_index(interface.c_str());
    if (index == 0 && !interface.empty()) continue;  // gone
    // EADDRINUSE: it is in it. Any other: pumps of a socket whose interface came back try again, and tell.
    if (join_group(fd, group, index) < 0) continue;
    changes.push_back({"taken out of group " + group.with_port(0).to_string(), result::undone});
  }
}

}  // namespace udppump::detail
