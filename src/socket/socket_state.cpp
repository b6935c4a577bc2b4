#include "socket/socket_state.hpp"

#include <netinet/in.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <utility>

#include "address/raw_address.hpp"
#include "socket/interfaces.hpp"
#include "socket/socket_name.hpp"
#include "sys/failure.hpp"
#include "sys/sys.hpp"
#include "sys/sys_process.hpp"

#include <netinet/udp.h>

namespace udppump::detail {

namespace {

using result = socket_state::change::result;

// Younger than the C library's headers.
constexpr int udp_no_check6_tx = 101, udp_no_check6_rx = 102;
constexpr int so_timestamp_new = 63, so_timestampns_new = 64, so_timestamping_new = 65;
constexpr int ipv6_flowinfo = 11, ipv6_flowinfo_send = 33;
constexpr int so_rcvmark = 75, so_passpidfd = 76, so_rcvpriority = 82, so_passrights = 83;

/// What one setsockopt() undoes. Where a family does not know an option, it cannot be read, and is left out. In an
/// order in which no row spoils one before it.
struct known_option {
  int level, option;
  const char* name;
  bool is_programs_own;
  /// Who shares the socket and does not know of it may hear nothing, not be heard, or find what he does not expect.
  bool harms_others = false;
};
constexpr known_option known_options[] = {
    {SOL_SOCKET, SO_BROADCAST, "SO_BROADCAST", true},
    {SOL_SOCKET, SO_DONTROUTE, "SO_DONTROUTE", false},
    {SOL_SOCKET, SO_MARK, "SO_MARK", true},
    {SOL_SOCKET, SO_MAX_PACING_RATE, "SO_MAX_PACING_RATE", true},
    {SOL_SOCKET, SO_NO_CHECK, "SO_NO_CHECK", true},
    {SOL_SOCKET, SO_PASSCRED, "SO_PASSCRED", true},
    {SOL_SOCKET, SO_PASSSEC, "SO_PASSSEC", true},
    {SOL_SOCKET, so_passpidfd, "SO_PASSPIDFD", true},
    {SOL_SOCKET, so_passrights, "SO_PASSRIGHTS", true},
    {SOL_SOCKET, SO_PEEK_OFF, "SO_PEEK_OFF", true},
    {SOL_SOCKET, SO_RCVLOWAT, "SO_RCVLOWAT", true},
    {SOL_SOCKET, SO_RXQ_OVFL, "SO_RXQ_OVFL", true},
    {SOL_SOCKET, so_rcvmark, "SO_RCVMARK", true},
    {SOL_SOCKET, so_rcvpriority, "SO_RCVPRIORITY", true},
    {SOL_SOCKET, SO_WIFI_STATUS, "SO_WIFI_STATUS", true},
    {SOL_SOCKET, SO_SELECT_ERR_QUEUE, "SO_SELECT_ERR_QUEUE", true},
    {SOL_SOCKET, SO_ZEROCOPY, "SO_ZEROCOPY", true},
    {SOL_SOCKET, SO_REUSEADDR, "SO_REUSEADDR", false},
    {SOL_SOCKET, SO_REUSEPORT, "SO_REUSEPORT", false},
    {SOL_SOCKET, so_timestamping_new, "SO_TIMESTAMPING_NEW", true},
    {SOL_SOCKET, SO_TIMESTAMPING, "SO_TIMESTAMPING", true, true},
    {SOL_SOCKET, SO_TIMESTAMP, "SO_TIMESTAMP", true},
    {SOL_SOCKET, so_timestamp_new, "SO_TIMESTAMP_NEW", true},
    {SOL_SOCKET, so_timestampns_new, "SO_TIMESTAMPNS_NEW", true},
    {SOL_SOCKET, SO_TIMESTAMPNS, "SO_TIMESTAMPNS", true},
    {IPPROTO_IP, IP_TTL, "IP_TTL", true, true},
    {IPPROTO_IP, IP_MINTTL, "IP_MINTTL", true, true},
    {IPPROTO_IP, IP_TOS, "IP_TOS", true},
    {SOL_SOCKET, SO_PRIORITY, "SO_PRIORITY", true},  // which IP_TOS changes
    {IPPROTO_IP, IP_PKTINFO, "IP_PKTINFO", true},
    {IPPROTO_IP, IP_RECVTOS, "IP_RECVTOS", true},
    {IPPROTO_IP, IP_RECVTTL, "IP_RECVTTL", true},
    {IPPROTO_IP, IP_RECVOPTS, "IP_RECVOPTS", true},
    {IPPROTO_IP, IP_RETOPTS, "IP_RETOPTS", true},
    {IPPROTO_IP, IP_RECVORIGDSTADDR, "IP_RECVORIGDSTADDR", true},
    {IPPROTO_IP, IP_RECVFRAGSIZE, "IP_RECVFRAGSIZE", true},
    {IPPROTO_IP, IP_PASSSEC, "IP_PASSSEC", true},
    {IPPROTO_IP, IP_CHECKSUM, "IP_CHECKSUM", true},
    {IPPROTO_IP, IP_RECVERR, "IP_RECVERR", true, true},
    {IPPROTO_IP, IP_RECVERR_RFC4884, "IP_RECVERR_RFC4884", true},
    {IPPROTO_IP, IP_MTU_DISCOVER, "IP_MTU_DISCOVER", true, true},
    {IPPROTO_IP, IP_MULTICAST_TTL, "IP_MULTICAST_TTL", true},
    {IPPROTO_IP, IP_MULTICAST_LOOP, "IP_MULTICAST_LOOP", true},
    {IPPROTO_IP, IP_MULTICAST_ALL, "IP_MULTICAST_ALL", true},
    {IPPROTO_IP, IP_UNICAST_IF, "IP_UNICAST_IF", true, true},
    {IPPROTO_IP, IP_FREEBIND, "IP_FREEBIND", true},
    {IPPROTO_IPV6, IPV6_UNICAST_HOPS, "IPV6_UNICAST_HOPS", true, true},
    {IPPROTO_IPV6, IPV6_MINHOPCOUNT, "IPV6_MINHOPCOUNT", true, true},
    {IPPROTO_IPV6, IPV6_TCLASS, "IPV6_TCLASS", true},
    {IPPROTO_IPV6, IPV6_RECVPKTINFO, "IPV6_RECVPKTINFO", true},
    {IPPROTO_IPV6, IPV6_2292PKTINFO, "IPV6_2292PKTINFO", true},
    {IPPROTO_IPV6, IPV6_RECVTCLASS, "IPV6_RECVTCLASS", true},
    {IPPROTO_IPV6, IPV6_RECVHOPLIMIT, "IPV6_RECVHOPLIMIT", true},
    {IPPROTO_IPV6, IPV6_2292HOPLIMIT, "IPV6_2292HOPLIMIT", true},
    {IPPROTO_IPV6, IPV6_RECVRTHDR, "IPV6_RECVRTHDR", true},
    {IPPROTO_IPV6, IPV6_2292RTHDR, "IPV6_2292RTHDR", true},
    {IPPROTO_IPV6, IPV6_RECVHOPOPTS, "IPV6_RECVHOPOPTS", true},
    {IPPROTO_IPV6, IPV6_2292HOPOPTS, "IPV6_2292HOPOPTS", true},
    {IPPROTO_IPV6, IPV6_RECVDSTOPTS, "IPV6_RECVDSTOPTS", true},
    {IPPROTO_IPV6, IPV6_2292DSTOPTS, "IPV6_2292DSTOPTS", true},
    {IPPROTO_IPV6, IPV6_RECVPATHMTU, "IPV6_RECVPATHMTU", true},
    {IPPROTO_IPV6, IPV6_RECVORIGDSTADDR, "IPV6_RECVORIGDSTADDR", true},
    {IPPROTO_IPV6, IPV6_RECVFRAGSIZE, "IPV6_RECVFRAGSIZE", true},
    {IPPROTO_IPV6, ipv6_flowinfo, "IPV6_FLOWINFO", true},
    {IPPROTO_IPV6, ipv6_flowinfo_send, "IPV6_FLOWINFO_SEND", true},
    {IPPROTO_IPV6, IPV6_AUTOFLOWLABEL, "IPV6_AUTOFLOWLABEL", true},
    {IPPROTO_IPV6, IPV6_RECVERR, "IPV6_RECVERR", true, true},
    {IPPROTO_IPV6, IPV6_RECVERR_RFC4884, "IPV6_RECVERR_RFC4884", true},
    {IPPROTO_IPV6, IPV6_MTU_DISCOVER, "IPV6_MTU_DISCOVER", true, true},
    {IPPROTO_IPV6, IPV6_MULTICAST_HOPS, "IPV6_MULTICAST_HOPS", true},
    {IPPROTO_IPV6, IPV6_MULTICAST_LOOP, "IPV6_MULTICAST_LOOP", true},
    {IPPROTO_IPV6, IPV6_MULTICAST_ALL, "IPV6_MULTICAST_ALL", true},
    {IPPROTO_IPV6, IPV6_MULTICAST_IF, "IPV6_MULTICAST_IF", true},
    {IPPROTO_IPV6, IPV6_UNICAST_IF, "IPV6_UNICAST_IF", true, true},
    {IPPROTO_IPV6, IPV6_ADDR_PREFERENCES, "IPV6_ADDR_PREFERENCES", true},
    {IPPROTO_IPV6, IPV6_FREEBIND, "IPV6_FREEBIND", true},
    {IPPROTO_IPV6, IPV6_DONTFRAG, "IPV6_DONTFRAG", true},
    {IPPROTO_UDP, UDP_CORK, "UDP_CORK", false},
    {IPPROTO_UDP, UDP_ENCAP, "UDP_ENCAP", false},
    {IPPROTO_UDP, udp_no_check6_tx, "UDP_NO_CHECK6_TX", false},  // nobody takes such answers (RFC 8200, 8.1)
    {IPPROTO_UDP, udp_no_check6_rx, "UDP_NO_CHECK6_RX", true},
    {IPPROTO_UDP, UDP_SEGMENT, "UDP_SEGMENT", true, true},
    {IPPROTO_UDP, UDP_GRO, "UDP_GRO", true, true},
};

/// Extension headers that each IPv6 datagram is sent with (ipv6(7), RFC 3542).
constexpr std::pair<int, const char*> sent_headers[] = {{IPV6_RTHDR, "IPV6_RTHDR"},
                                                        {IPV6_HOPOPTS, "IPV6_HOPOPTS"},
                                                        {IPV6_RTHDRDSTOPTS, "IPV6_RTHDRDSTOPTS"},
                                                        {IPV6_DSTOPTS, "IPV6_DSTOPTS"}};

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

socket_state::socket_state(const datagram_socket& socket) : socket_state{socket, socket.fd()} {}

socket_state::socket_state(const datagram_socket& socket, int like) : family_{socket.family()} {
  const int fd = socket.fd();
  const bool is_ip = family_ == AF_INET || family_ == AF_INET6;
  is_known_ = number(fd, SOL_SOCKET, SO_TYPE) == SOCK_DGRAM &&
              (family_ == AF_UNIX || (is_ip && number(fd, SOL_SOCKET, SO_PROTOCOL) == IPPROTO_UDP));
  if (!is_known_) return;
  local_ = socket.local();
  peer_ = like == fd ? socket.peer() : address{};
  filter_ = filter_of(like);
  is_locked_ = number(like, SOL_SOCKET, SO_LOCK_FILTER) != 0;
  // One that a pool before this one hands on may still be bound to an interface that has been made again since.
  const unsigned now = device_index(fd);
  const bool is_gone = now != 0 && name_of_interface(now).empty();
  footing_ = {device_of(like), is_gone ? now : device_index(like), socket.memberships()};
  footing_.is_in_all_groups(fd);
  receive_buffer_ = number(like, SOL_SOCKET, SO_RCVBUF);
  send_buffer_ = number(like, SOL_SOCKET, SO_SNDBUF);
  is_v6only_ = family_ == AF_INET6 && number(like, IPPROTO_IPV6, IPV6_V6ONLY) != 0;
  is_shareable_ = number(like, SOL_SOCKET, SO_REUSEPORT) != 0 || number(like, SOL_SOCKET, SO_REUSEADDR) != 0;
  is_nonblocking_ = (sys::file_flags(like) & O_NONBLOCK) != 0;
  static_cast<void>(sys::getsockopt(like, SOL_SOCKET, SO_RCVTIMEO, receive_timeout_));
  static_cast<void>(sys::getsockopt(like, SOL_SOCKET, SO_SNDTIMEO, send_timeout_));
  has_ip_options_ = has_header(like, IPPROTO_IP, IP_OPTIONS);
  for (std::size_t at = 0; at < std::size(sent_headers); ++at) {
    has_headers_[at] = family_ == AF_INET6 && has_header(like, IPPROTO_IPV6, sent_headers[at].first);
  }
  for (const known_option& one : known_options) options_.push_back(read(like, one));
}

socket_state socket_state::as_made(const datagram_socket& socket) {
  socket_state made{socket};
  made.is_pools_own_ = true;
  return made;
}

socket_state socket_state::as_asked(const datagram_socket& socket, socket_options options) {
  const int made = sys::socket(socket.family(), SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (made < 0) fail_with_cure(made, "a socket to compare with");
  descriptor fresh{made};
  const address local = socket.local();
  if (options.local_address == setting::automatic && !local.is_unix()) {
    options.local_address = local.is_wildcard() ? setting::on : setting::off;
  }
  if (local.is_ipv6()) {
    options.v6only = number(socket.fd(), IPPROTO_IPV6, IPV6_V6ONLY) != 0 ? setting::on : setting::off;
  } else {
    options.v6only = setting::automatic;
  }
  options.join.clear();
  const datagram_socket like = datagram_socket::adopt(fresh.fd(), options);
  static_cast<void>(fresh.release());
  socket_state asked{socket, like.fd()};
  asked.is_pools_own_ = true;
  return asked;
}

std::string socket_state::odd_in(const datagram_socket& passed, const socket_options& options) {
  if (!socket_state{passed}.is_known_) return {};
  const socket_state asked = as_asked(passed, options);
  std::string all;
  const auto add = [&all](const std::string& one) { all += (all.empty() ? "" : ", ") + one; };
  for (std::size_t at = 0; at < std::size(known_options); ++at) {
    const known_option& one = known_options[at];
    // ReusePort= and IPTTL= of systemd.socket(5), which sets SO_REUSEADDR unasked.
    const bool is_units = (one.level == SOL_SOCKET && (one.option == SO_REUSEADDR || one.option == SO_REUSEPORT)) ||
                          (one.level == IPPROTO_IP && one.option == IP_TTL) ||
                          (one.level == IPPROTO_IPV6 && one.option == IPV6_UNICAST_HOPS);
    if (is_units || (one.is_programs_own && !one.harms_others)) continue;
    const auto now = read(passed.fd(), one);
    if (!now || !asked.options_[at] || *now == *asked.options_[at]) continue;
    add(std::string{one.name} + " = " + std::to_string(*now) + " instead of " + std::to_string(*asked.options_[at]));
  }
  if (has_header(passed.fd(), IPPROTO_IP, IP_OPTIONS)) add("IP_OPTIONS");
  for (const auto& [option, name] : sent_headers) {
    if (passed.family() == AF_INET6 && has_header(passed.fd(), IPPROTO_IPV6, option)) add(name);
  }
  if (!passed.peer().is_none()) add("a peer, " + passed.peer().to_string());
  return all;
}

socket_options socket_state::for_new_socket(socket_options options) const {
  options.v6only = family_ != AF_INET6 ? setting::automatic : is_v6only_ ? setting::on : setting::off;
  options.reuse_port = family_ != AF_UNIX;
  return options;
}

void socket_state::be_content_with_buffers(int fd) noexcept {
  receive_buffer_ = std::min(receive_buffer_, number(fd, SOL_SOCKET, SO_RCVBUF));
  send_buffer_ = std::min(send_buffer_, number(fd, SOL_SOCKET, SO_SNDBUF));
}

std::vector<socket_state::change> socket_state::restore(int fd, sharers who) const {
  std::vector<change> changes;
  if (!is_known_) return changes;
  const auto note = [&changes](std::optional<change> one) {
    if (one) changes.push_back(std::move(*one));
  };
  if (number(fd, SOL_SOCKET, SO_DOMAIN) != family_) {
    return {change{"turned into an IPv4 socket (IPV6_ADDRFORM)", result::needs_new_socket}};
  }
  restore_options(fd, who, changes);  // UDP_CORK would hide the rest
  restore_headers(fd, changes);
  if (is_pools_own_) overwrite_unreadable(fd, who);
  note(restore_peer(fd));
  note(look_for_shutdown(fd));
  note(restore_filter(fd));
  note(restore_device(fd));
  note(look_at_v6only(fd));
  note(restore_buffer(fd, SO_RCVBUF, SO_RCVBUFFORCE, receive_buffer_));
  note(restore_buffer(fd, SO_SNDBUF, SO_SNDBUFFORCE, send_buffer_));
  restore_memberships(fd, changes);
  if (who == sharers::pumps) empty_error_queue(fd);
  return changes;
}

std::vector<std::string> socket_state::changed_by_programs(int fd, bool harmful_alone) const {
  std::vector<std::string> all;
  for (std::size_t at = 0; is_known_ && at < std::size(known_options); ++at) {
    const known_option& one = known_options[at];
    if (!options_[at] || !one.is_programs_own || (harmful_alone && !one.harms_others)) continue;
    const auto now = read(fd, one);
    if (!now || *now == *options_[at]) continue;
    all.push_back(std::string{one.name} + " = " + std::to_string(*now) + " instead of " +
                  std::to_string(*options_[at]));
  }
  return all;
}

std::string socket_state::left_to_programs(int fd) const {
  std::string all;
  for (const std::string& one : changed_by_programs(fd, false)) all += (all.empty() ? "" : ", ") + one;
  return all;
}

std::vector<std::string> socket_state::harmful_to_programs(int fd) const { return changed_by_programs(fd, true); }

void socket_state::forget_programs(int fd) const noexcept {
  if (!is_known_) return;
  for (std::size_t at = 0; at < std::size(known_options); ++at) {
    const known_option& one = known_options[at];
    if (!one.is_programs_own || (one.option == SO_TIMESTAMP && one.level == SOL_SOCKET)) continue;
    const auto now = read(fd, one);
    if (!options_[at] || !now || *now == *options_[at]) continue;
    static_cast<void>(sys::setsockopt(fd, one.level, one.option, *options_[at]));
  }
  if (is_pools_own_) overwrite_unreadable(fd, sharers::pumps);
  empty_error_queue(fd);
  static_cast<void>(sys::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, receive_timeout_));
  static_cast<void>(sys::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, send_timeout_));
  const int flags = sys::file_flags(fd);
  if (flags < 0 || ((flags & O_NONBLOCK) != 0) == is_nonblocking_) return;
  static_cast<void>(sys::set_file_flags(fd, flags ^ O_NONBLOCK));
}

/// Where the kernel had chosen the port, a socket can be taken off it, changed, and bound again.
std::optional<socket_state::change> socket_state::look_at_v6only(int fd) const {
  if (family_ != AF_INET6 || (number(fd, IPPROTO_IPV6, IPV6_V6ONLY) != 0) == is_v6only_) return {};
  return change{is_v6only_ ? "opened to IPv4 (IPV6_V6ONLY)" : "closed to IPv4 (IPV6_V6ONLY)", result::needs_new_socket};
}

/// What the kernel lets everybody write and nobody read: so it is as it should be, and whether it was so is not known.
void socket_state::overwrite_unreadable(int fd, sharers who) const noexcept {
  if (family_ == AF_INET6) static_cast<void>(sys::setsockopt(fd, IPPROTO_IPV6, IPV6_PKTINFO, in6_pktinfo{}));
  if (family_ == AF_UNIX || who == sharers::programs) return;
  static_cast<void>(sys::setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, ip_mreqn{}));
}

/// Who asks for the time of sending, or sends without a copy, gets an answer into the socket's queue of errors, which
/// wakes all until somebody takes it; of pumps only those do that want ICMP errors.
void socket_state::empty_error_queue(int fd) const noexcept {
  constexpr int most = 4096;  // a worker may add more meanwhile
  pollfd one{.fd = fd, .events = 0, .revents = 0};
  if (family_ == AF_UNIX || sys::poll(&one, 1, 0) <= 0 || (one.revents & POLLERR) == 0) return;
  if (number(fd, IPPROTO_IP, IP_RECVERR) != 0 || number(fd, IPPROTO_IPV6, IPV6_RECVERR) != 0) return;
  msghdr nothing{};
  for (int taken = 0; taken < most && sys::recvmsg(fd, &nothing, MSG_ERRQUEUE | MSG_DONTWAIT) >= 0; ++taken) {
    nothing = {};
  }
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
  if (filter_of(fd) == filter_) {
    if (is_locked_ || number(fd, SOL_SOCKET, SO_LOCK_FILTER) == 0) return {};
    return change{"locked, so that a filter cannot be changed (SO_LOCK_FILTER)", result::needs_new_socket};
  }
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
  // It may have another name by now, or be gone: see follow_interfaces().
  if (now == footing_.device() || device_index(fd) == footing_.index()) return {};
  return outcome(now.empty() ? "taken off device " + footing_.device() : "bound to device " + now,
                 bind_to_device(fd, footing_.device()));
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
    if (!options_[at] || (who == sharers::programs && one.is_programs_own)) continue;
    const auto now = read(fd, one);
    if (!now || *now == *options_[at]) continue;
    // Pumps with max_age turn it on, and so does the parent of a pool that falls behind; it harms nobody.
    if (one.option == SO_TIMESTAMP && one.level == SOL_SOCKET && *options_[at] == 0) continue;
    std::string what = std::string{"given "} + one.name + " = " + std::to_string(*now) + " instead of " +
                       std::to_string(*options_[at]);
    const int done = sys::setsockopt(fd, one.level, one.option, *options_[at]);
    changes.push_back(done < 0 ? refused(std::move(what), done) : change{std::move(what), result::undone});
    // libuv, which Node's dgram uses, sets it in uv__udp_bind().
    changes.back().is_habit =
        who == sharers::programs && one.level == SOL_SOCKET && one.option == SO_REUSEADDR && *now != 0;
  }
}

/// Such as a route that answers are to take (ip(7)).
void socket_state::restore_headers(int fd, std::vector<change>& changes) const {
  const auto restore_one = [&](int level, int option, const std::string& name) {
    if (!has_header(fd, level, option)) return;
    const int done = sys::setsockopt_text(fd, level, option, nullptr, 0);
    changes.push_back(done < 0 ? refused("given " + name, done) : change{"given " + name, result::undone});
  };
  if (!has_ip_options_) restore_one(IPPROTO_IP, IP_OPTIONS, "IP_OPTIONS");
  for (std::size_t at = 0; family_ == AF_INET6 && at < std::size(sent_headers); ++at) {
    if (!has_headers_[at]) restore_one(IPPROTO_IPV6, sent_headers[at].first, sent_headers[at].second);
  }
}

bool socket_state::has_header(int fd, int level, int option) noexcept {
  std::array<std::byte, 2048> header{};
  socklen_t size = header.size();
  return sys::getsockopt_sized(fd, level, option, header.data(), size) >= 0 && size != 0;
}

void socket_state::restore_memberships(int fd, std::vector<change>& changes) const {
  for (const socket_footing::membership& one : footing_.memberships()) {
    if (one.told) continue;  // it went with its interface: see follow_interfaces()
    const unsigned index = one.interface.empty() ? 0 : one.index;
    // EADDRINUSE: it is in it.
    const int joined = join_group(fd, one.group, index);
    if (joined >= 0) changes.push_back({"taken out of " + name_of(one), result::undone});
    if (joined != -EADDRINUSE) continue;
    if (const int heard = hear_all_senders(fd, one.group, index); heard != 0) {
      std::string what = "closed to senders of " + name_of(one) + " (MCAST_BLOCK_SOURCE)";
      changes.push_back(heard < 0 ? refused(std::move(what), heard) : change{std::move(what), result::undone});
    }
  }
}

}  // namespace udppump::detail
