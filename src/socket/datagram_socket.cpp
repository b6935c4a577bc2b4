#include "udppump/datagram_socket.hpp"

#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <utility>

#include "socket/control_message.hpp"
#include "socket/port_owner.hpp"
#include "sys/failure.hpp"
#include "sys/shared_line.hpp"
#include "sys/sys.hpp"

#include <netinet/udp.h>

namespace udppump {

using detail::code_of;
using detail::fail;

namespace {

/// Longest burst handed to the kernel at once; UDP_SEGMENT takes 64 (UDP_MAX_SEGMENTS before Linux 6.9) and 65,535
/// bytes.
constexpr std::size_t most_segments = 64;
constexpr std::size_t most_segmented_bytes = 65'507;
constexpr std::size_t most_parts = 1024;  // UIO_MAXIOV

bool flag_of(int fd, int level, int option) noexcept {
  int value = 0;
  return sys::getsockopt(fd, level, option, value) >= 0 && value != 0;
}

void set(int fd, int level, int option, int value, const char* name) {
  const int done = sys::setsockopt(fd, level, option, value);
  if (done < 0) fail(done, "setsockopt " + std::string{name} + " = " + std::to_string(value));
}

bool is_ip(int family) noexcept { return family == AF_INET || family == AF_INET6; }

struct ip_option {
  int option;
  const char* name;
};

/// IPv4's form of an option, and IPv6's on an IPv6 socket. That takes IPv4's as well, for the IPv4 it speaks; raw ones
/// refuse it (net/ipv6/raw.c: rawv6_setsockopt), and other systems than Linux do.
void set_both(int fd, int family, ip_option v4, ip_option v6, int value) {
  if (family == AF_INET) return set(fd, IPPROTO_IP, v4.option, value, v4.name);
  if (family != AF_INET6) return;
  set(fd, IPPROTO_IPV6, v6.option, value, v6.name);
  static_cast<void>(sys::setsockopt(fd, IPPROTO_IP, v4.option, value));
}

/// Asks for bytes of payload; the kernel keeps its books on top of that, and answers with both (socket(7)).
buffer_size size_buffer(int fd, std::size_t asked, int plain, [[maybe_unused]] int force, const char* limit) {
  buffer_size result{.asked = asked, .granted = 0, .limit = limit};
  if (asked != 0) {
    const int wanted = static_cast<int>(std::min<std::size_t>(asked, INT32_MAX / 2));
    static_cast<void>(sys::setsockopt(fd, SOL_SOCKET, plain, wanted));
    int now = 0;
    // The plain option is cut to the sysctl's limit; with CAP_NET_ADMIN the other is not.
    if (sys::getsockopt(fd, SOL_SOCKET, plain, now) >= 0 && now / 2 < wanted) {
      static_cast<void>(sys::setsockopt(fd, SOL_SOCKET, force, wanted));
    }
  }
  int now = 0;
  if (sys::getsockopt(fd, SOL_SOCKET, plain, now) >= 0) {
    now /= 2;
    result.granted = static_cast<std::size_t>(now);
  }
  return result;
}

std::string written(std::size_t bytes) {
  if (bytes == 0 || bytes % 1024 != 0) return std::to_string(bytes) + " bytes";
  if (bytes % (1024 * 1024) == 0) return std::to_string(bytes / (1024 * 1024)) + " MiB";
  return std::to_string(bytes / 1024) + " KiB";
}

unsigned interface_index(const std::string& name) {
  if (name.empty()) return 0;
  const unsigned index = ::if_nametoindex(name.c_str());
  if (index == 0) fail(ENODEV, "multicast_membership: no interface \"" + name + "\" (ip link lists them)");
  return index;
}

void join(int fd, const multicast_membership& membership) {
  const std::string what = "joining " + membership.group.to_string();
  if (!membership.group.is_multicast()) fail(EINVAL, what + ": not a multicast address");
  group_req request{};
  request.gr_interface = interface_index(membership.interface);
  if (request.gr_interface == 0) request.gr_interface = membership.group.scope_id();
  std::memcpy(&request.gr_group, membership.group.data(), membership.group.size());
  const int level = membership.group.is_ipv4() ? IPPROTO_IP : IPPROTO_IPV6;
  const int done = sys::setsockopt(fd, level, MCAST_JOIN_GROUP, request);
  if (done == -ENODEV) fail(done, what + ": no route or interface for it; name one in multicast_membership::interface");
  if (done < 0) fail(done, what);
}

/// Whether a Unix path is what bind refuses: taken, and by no socket at all. A link to one is none.
bool is_no_socket(const std::string& path) {
  std::error_code unknown;
  return std::filesystem::symlink_status(path, unknown).type() != std::filesystem::file_type::socket;
}

/// A Unix path, which an abstract name is not; empty for every other address.
std::string path_of(const address& local) {
  if (!local.is_unix() || local.size() <= offsetof(sockaddr_un, sun_path)) return {};
  if (reinterpret_cast<const sockaddr_un*>(local.data())->sun_path[0] == '\0') return {};
  return local.unix_path();
}

/// A Unix path that a dead process left behind: there is a socket, and nobody answers there (ECONNREFUSED, which
/// anything else than a socket gives as well).
bool is_abandoned(const address& local) {
  const std::string path = path_of(local);
  if (path.empty() || is_no_socket(path)) return false;
  const int probe = sys::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (probe < 0) return false;
  const int answered = sys::connect(probe, local.data(), local.size());
  sys::close(probe);
  return answered == -ECONNREFUSED;
}

bool is_link_local_without_scope(const address& local) noexcept {
  return local.is_ipv6() && local.scope_id() == 0 &&
         IN6_IS_ADDR_LINKLOCAL(&reinterpret_cast<const sockaddr_in6*>(local.data())->sin6_addr);
}

std::string cure_of_bind(long error, const address& local) {
  const std::string port = std::to_string(local.port());
  switch (-error) {
    case EADDRINUSE:
      if (const std::string path = path_of(local); !path.empty() && is_no_socket(path)) {
        return "; what is there is no socket: remove it or choose another path";
      }
      if (local.is_unix()) return "; another process serves it, or has left it and it cannot be removed";
      if (local.port() == 0) return "; no port is free: widen net.ipv4.ip_local_port_range";
      if (const std::string owner = detail::owner_of_port(local); !owner.empty()) {
        return "; " + owner + " has the port: stop it, or choose another";
      }
      return "; another process has the port: see `ss -lunp 'sport = :" + port + "'`";
    case EACCES:
      if (local.is_unix()) return "; no permission for that directory";
      return "; a low port takes root, the capability CAP_NET_BIND_SERVICE (setcap cap_net_bind_service+ep PROGRAM), a "
             "lower sysctl net.ipv4.ip_unprivileged_port_start, or a socket unit of systemd";
    case EADDRNOTAVAIL:
      return "; no interface here has that address: see `ip address`";
    case EINVAL:
      if (is_link_local_without_scope(local))
        return "; a link-local address needs its interface, as in [fe80::1%eth0]:53";
      return {};
    default:
      return {};
  }
}

}  // namespace

std::string buffer_size::shortfall() const {
  if (granted >= asked) return {};
  return std::string{std::strcmp(limit, "net.core.rmem_max") == 0 ? "receive" : "send"} + " buffer: asked " +
         written(asked) + ", granted " + written(granted) + "; raise " + limit;
}

datagram_socket datagram_socket::bind(const address& local, const socket_options& options) {
  if (local.is_none()) fail(EINVAL, "bind: no address given");
  datagram_socket made;
  made.family_ = local.family();
  made.fd_ = sys::socket(made.family_, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (made.fd_ < 0) fail(made.fd_, "socket for " + local.to_string());
  // Only a wish here: some systems refuse it.
  if (made.family_ == AF_INET6 && options.v6only == setting::automatic && local.is_wildcard()) {
    static_cast<void>(sys::setsockopt(made.fd_, IPPROTO_IPV6, IPV6_V6ONLY, 0));
  }
  made.set_options(local, options);
  int bound = sys::bind(made.fd_, local.data(), local.size());
  if (bound == -EADDRINUSE && is_abandoned(local)) {
    static_cast<void>(sys::unlink(local.unix_path().c_str()));
    bound = sys::bind(made.fd_, local.data(), local.size());
  }
  if (bound < 0) fail(bound, "bind " + local.to_string() + cure_of_bind(bound, local));
  made.read_back();
  return made;
}

datagram_socket datagram_socket::connect(const address& peer, const socket_options& options) {
  if (peer.is_none()) fail(EINVAL, "connect: no address given");
  datagram_socket made;
  made.family_ = peer.family();
  made.fd_ = sys::socket(made.family_, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (made.fd_ < 0) fail(made.fd_, "socket for " + peer.to_string());
  made.set_options(address{}, options);
  const int connected = sys::connect(made.fd_, peer.data(), peer.size());
  if (connected == -EACCES && peer.is_ipv4() && !options.broadcast) {
    fail(connected, "connect " + peer.to_string() + "; to broadcast, set socket_options::broadcast");
  }
  if (connected < 0) fail(connected, "connect " + peer.to_string());
  made.read_back();
  return made;
}

datagram_socket datagram_socket::adopt(int fd, const socket_options& options) {
  const std::string what = "adopting descriptor " + std::to_string(fd);
  int type = 0;
  const int asked = sys::getsockopt(fd, SOL_SOCKET, SO_TYPE, type);
  if (asked < 0) fail(asked, what);
  if (type != SOCK_DGRAM && type != SOCK_RAW) {
    fail(EPROTOTYPE, what + ": not a datagram socket; streams are not served");
  }
  datagram_socket made;
  address local;
  socklen_t size = address::capacity;
  const int named = sys::getsockname(fd, local.buffer(), &size);
  if (named < 0) fail(named, what);
  local.resize(size);
  made.family_ = local.family();
  made.fd_ = fd;
  try {
    made.set_options(local, options);
  } catch (...) {
    static_cast<void>(made.release());  // still the caller's
    throw;
  }
  made.read_back();
  return made;
}

datagram_socket::datagram_socket(datagram_socket&& other) noexcept
    : fd_{std::exchange(other.fd_, -1)},
      family_{other.family_},
      udp_{other.udp_},
      tos_{other.tos_},
      traffic_class_{other.traffic_class_},
      control_{other.control_},
      receive_buffer_{other.receive_buffer_},
      send_buffer_{other.send_buffer_},
      send_errors_{other.send_errors()},
      shared_line_{std::move(other.shared_line_)} {}

datagram_socket& datagram_socket::operator=(datagram_socket&& other) noexcept {
  if (this == &other) return *this;
  if (fd_ >= 0) sys::close(fd_);
  fd_ = std::exchange(other.fd_, -1);
  family_ = other.family_;
  udp_ = other.udp_;
  tos_ = other.tos_;
  traffic_class_ = other.traffic_class_;
  control_ = other.control_;
  receive_buffer_ = other.receive_buffer_;
  send_buffer_ = other.send_buffer_;
  send_errors_.store(other.send_errors(), std::memory_order_relaxed);
  shared_line_ = std::move(other.shared_line_);
  return *this;
}

datagram_socket::~datagram_socket() {
  if (fd_ >= 0) sys::close(fd_);
}

int datagram_socket::release() noexcept { return std::exchange(fd_, -1); }

address datagram_socket::local() const noexcept {
  address name;
  socklen_t size = address::capacity;
  if (sys::getsockname(fd_, name.buffer(), &size) >= 0) name.resize(size);
  return name;
}

address datagram_socket::peer() const noexcept {
  address name;
  socklen_t size = address::capacity;
  if (sys::getpeername(fd_, name.buffer(), &size) >= 0) name.resize(size);
  return name;
}

void datagram_socket::set_options(const address& local, const socket_options& options) {
  const bool v6 = family_ == AF_INET6;
  if (options.tos && (*options.tos < 0 || *options.tos > 255)) {
    fail(EINVAL, "socket_options::tos is " + std::to_string(*options.tos) + "; 0 to 255");
  }
  const bool wants_ip = options.v6only == setting::on || options.local_address == setting::on || options.receive_ecn ||
                        options.icmp_errors || options.tos || options.broadcast || !options.join.empty();
  if (wants_ip && !is_ip(family_)) fail(EAFNOSUPPORT, "socket_options: an option for IP on a socket that is not");

  if (options.reuse_port) set(fd_, SOL_SOCKET, SO_REUSEPORT, 1, "SO_REUSEPORT");
  const bool v6only = options.v6only == setting::on;
  if (v6 && options.v6only != setting::automatic && flag_of(fd_, IPPROTO_IPV6, IPV6_V6ONLY) != v6only) {
    const int done = sys::setsockopt(fd_, IPPROTO_IPV6, IPV6_V6ONLY, v6only ? 1 : 0);
    if (done == -EINVAL) fail(done, "setsockopt IPV6_V6ONLY: set it before bind");
    if (done < 0) fail(done, "setsockopt IPV6_V6ONLY");
  }
  if (!options.device.empty()) {
    const int done =
        sys::setsockopt_text(fd_, SOL_SOCKET, SO_BINDTODEVICE, options.device.c_str(), options.device.size() + 1);
    if (done == -EPERM) fail(done, "SO_BINDTODEVICE \"" + options.device + "\": needs CAP_NET_RAW");
    if (done < 0) fail(done, "SO_BINDTODEVICE \"" + options.device + "\" (ip link lists the interfaces)");
  }
  if (options.broadcast) set(fd_, SOL_SOCKET, SO_BROADCAST, 1, "SO_BROADCAST");

  const bool learn_address = options.local_address == setting::on ||
                             (options.local_address == setting::automatic && is_ip(family_) && local.is_wildcard());
  // Both on a dual-stack socket: only IPv4's own tells where to answer an IPv4 broadcast from (ip(7), ipi_spec_dst).
  if (learn_address) set_both(fd_, family_, {IP_PKTINFO, "IP_PKTINFO"}, {IPV6_RECVPKTINFO, "IPV6_RECVPKTINFO"}, 1);
  if (options.receive_ecn) set_both(fd_, family_, {IP_RECVTOS, "IP_RECVTOS"}, {IPV6_RECVTCLASS, "IPV6_RECVTCLASS"}, 1);
  if (options.tos) set_both(fd_, family_, {IP_TOS, "IP_TOS"}, {IPV6_TCLASS, "IPV6_TCLASS"}, *options.tos);
  if (options.receive_time) set(fd_, SOL_SOCKET, SO_TIMESTAMPNS, 1, "SO_TIMESTAMPNS");
  if (options.receive_offload) set(fd_, IPPROTO_UDP, UDP_GRO, 1, "UDP_GRO");
  if (options.icmp_errors) set_both(fd_, family_, {IP_RECVERR, "IP_RECVERR"}, {IPV6_RECVERR, "IPV6_RECVERR"}, 1);
  for (const auto& membership : options.join) join(fd_, membership);
  receive_buffer_ = size_buffer(fd_, options.receive_buffer, SO_RCVBUF, SO_RCVBUFFORCE, "net.core.rmem_max");
  send_buffer_ = size_buffer(fd_, options.send_buffer, SO_SNDBUF, SO_SNDBUFFORCE, "net.core.wmem_max");
}

/// What the socket sends along is asked of the socket itself: whoever made it may have set more than our options.
void datagram_socket::read_back() {
  shared_line_ = detail::make_shared_line();
  const bool v4 = family_ == AF_INET;
  const bool v6 = family_ == AF_INET6;
  control_.local_address =
      (v4 && flag_of(fd_, IPPROTO_IP, IP_PKTINFO)) || (v6 && flag_of(fd_, IPPROTO_IPV6, IPV6_RECVPKTINFO));
  control_.ecn =
      ((v4 || v6) && flag_of(fd_, IPPROTO_IP, IP_RECVTOS)) || (v6 && flag_of(fd_, IPPROTO_IPV6, IPV6_RECVTCLASS));
  if ((v4 || v6) && sys::getsockopt(fd_, IPPROTO_IP, IP_TOS, tos_) < 0) tos_ = 0;
  if (v6 && sys::getsockopt(fd_, IPPROTO_IPV6, IPV6_TCLASS, traffic_class_) < 0) traffic_class_ = 0;
  int protocol = 0;
  int segment = 0;
  // Linux before 4.18 takes no notice of UDP_SEGMENT in control data, and would send all as one datagram. Asked of the
  // socket it says that it does not know it; UDP_GRO is younger (5.0).
  udp_ = (v4 || v6) && sys::getsockopt(fd_, SOL_SOCKET, SO_PROTOCOL, protocol) >= 0 && protocol == IPPROTO_UDP &&
         sys::getsockopt(fd_, IPPROTO_UDP, UDP_SEGMENT, segment) >= 0;
  control_.receive_time = flag_of(fd_, SOL_SOCKET, SO_TIMESTAMPNS);
  control_.segments = udp_ && flag_of(fd_, IPPROTO_UDP, UDP_GRO);
  control_.icmp_errors =
      (v4 && flag_of(fd_, IPPROTO_IP, IP_RECVERR)) || (v6 && flag_of(fd_, IPPROTO_IPV6, IPV6_RECVERR));
}

namespace {

/// Errors that may belong to an earlier datagram to somebody else: the kernel keeps an ICMP error at the socket and
/// fails the next call with it, whomever that is for (udp(7); SO_ERROR). Asking again gets this datagram's own answer.
/// The codes: net/ipv4/icmp.c, icmp_err_convert; net/ipv6/icmp.c, icmpv6_err_convert.
bool may_be_anothers(long error) noexcept {
  switch (-error) {
    case ECONNREFUSED:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EHOSTDOWN:
    case ENONET:
    case ENOPROTOOPT:
    case EPROTO:
    case EOPNOTSUPP:
    case EMSGSIZE:
    case EACCES:
      return true;
    default:
      return false;
  }
}

/// Without a destination the error is the connected peer's, and sending once more would only hide it.
bool is_worth_repeating(long error, const msghdr& message) noexcept {
  return message.msg_name != nullptr && may_be_anothers(error);
}

ssize_t send_once(int fd, const msghdr& message) noexcept {
  constexpr int flags = MSG_DONTWAIT | MSG_NOSIGNAL;
  if (message.msg_iovlen != 1 || message.msg_controllen != 0) return sys::sendmsg(fd, &message, flags);
  // The kernel has no structures to copy in first: a send costs 8% less.
  return sys::sendto(fd, message.msg_iov->iov_base, message.msg_iov->iov_len, flags,
                     static_cast<const sockaddr*>(message.msg_name), message.msg_namelen);
}

ssize_t send_message(int fd, const msghdr& message) noexcept {
  const ssize_t sent = send_once(fd, message);
  if (sent >= 0 || !is_worth_repeating(sent, message)) return sent;
  return send_once(fd, message);
}

/// One datagram per element; a short count is followed by a call for the rest, so that an error is the error of the
/// first that was not sent (sendmmsg(2)).
long send_messages(int fd, mmsghdr* messages, std::size_t count) noexcept {
  bool again = true;
  for (std::size_t sent = 0; sent < count;) {
    const int done =
        sys::sendmmsg(fd, messages + sent, static_cast<unsigned>(count - sent), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (done > 0) {
      sent += static_cast<std::size_t>(done);
      again = true;
    } else if (done < 0 && again && is_worth_repeating(done, messages[sent].msg_hdr)) {
      again = false;
    } else {
      return done < 0 ? done : -EAGAIN;
    }
  }
  return 0;
}

/// Walks a payload in several parts and hands out the next `size` bytes of it, as parts again.
class part_cursor {
 public:
  explicit part_cursor(std::span<const iovec> parts) noexcept : parts_{parts} {}

  /// Fills `into` and returns how many parts were used; 0 where `into` is too small or nothing is left.
  std::size_t next(std::size_t size, std::span<iovec> into) noexcept {
    std::size_t used = 0;
    while (size > 0 && at_ < parts_.size()) {
      const iovec& part = parts_[at_];
      const std::size_t take = std::min(size, part.iov_len - offset_);
      if (take > 0) {
        if (used == into.size()) return 0;
        into[used++] = {static_cast<std::byte*>(part.iov_base) + offset_, take};
      }
      size -= take;
      offset_ += take;
      if (offset_ == part.iov_len) {
        ++at_;
        offset_ = 0;
      }
    }
    return used;
  }

 private:
  std::span<const iovec> parts_;
  std::size_t at_ = 0;
  std::size_t offset_ = 0;
};

/// The datagrams of a segmented payload one by one, for kernels and devices that cannot cut it themselves.
long send_one_by_one(int fd, const msghdr& like, std::span<const iovec> parts, std::size_t total,
                     std::size_t segment) noexcept {
  part_cursor cursor{parts};
  const std::size_t count = (total + segment - 1) / segment;
  std::array<iovec, most_parts> pieces;  // enough for any one segment
  for (std::size_t done = 0; done < count;) {
    std::size_t batch = 0;
    std::size_t used = 0;
    std::array<mmsghdr, most_segments> messages;
    for (; batch < messages.size() && done + batch < count; ++batch) {
      const part_cursor before = cursor;
      const std::size_t taken = cursor.next(segment, std::span{pieces}.subspan(used));
      if (taken == 0) {
        cursor = before;
        break;
      }
      msghdr message = like;
      message.msg_iov = pieces.data() + used;
      message.msg_iovlen = taken;
      used += taken;
      messages[batch] = {message, 0};
    }
    const long sent = send_messages(fd, messages.data(), batch);
    if (sent < 0) return sent;
    done += batch;
  }
  return 0;
}

address any_ipv4() noexcept {
  sockaddr_in raw{};
  raw.sin_family = AF_INET;
  return address::from_sockaddr(reinterpret_cast<const sockaddr*>(&raw), sizeof raw);
}

/// Whether a socket of this family can send from that address.
bool can_leave_from(const address& local, int family) noexcept {
  if (local.is_none()) return true;
  if (family == AF_INET) return local.unmapped().is_ipv4();
  return family == AF_INET6 && (local.is_ipv6() || local.is_ipv4());
}

}  // namespace

std::error_code datagram_socket::send_to(bytes_view payload, const address& to,
                                         const send_options& options) const noexcept {
  const iovec part{const_cast<std::byte*>(payload.data()), payload.size()};
  return send_to(std::span{&part, 1}, to, options);
}

std::error_code datagram_socket::send_to(std::span<const iovec> parts, const address& to,
                                         const send_options& options) const noexcept {
  const long sent = send_parts(parts, to, options);
  if (sent >= 0) return {};
  send_errors_.fetch_add(1, std::memory_order_relaxed);
  return code_of(sent);
}

long datagram_socket::send_parts(std::span<const iovec> parts, const address& to,
                                 const send_options& options) const noexcept {
  if (parts.size() > most_parts) return -EMSGSIZE;
  if (!can_leave_from(options.source.local, family_)) return -EAFNOSUPPORT;
  const bool map = family_ == AF_INET6 && to.is_ipv4();
  const address mapped = map ? to.mapped() : address{};
  const address& destination = map ? mapped : to;

  msghdr message{};
  if (!destination.is_none()) {
    message.msg_name = const_cast<sockaddr*>(destination.data());
    message.msg_namelen = destination.size();
  }
  message.msg_iov = const_cast<iovec*>(parts.data());
  message.msg_iovlen = parts.size();

  send_source source = options.source;
  const bool may_be_ipv4 = destination.is_none() || destination.unmapped().is_ipv4();
  if (source.local.is_none() && source.interface_index != 0 && may_be_ipv4) {
    // IPv4 takes the address that goes along with an interface for the source, even if it is none: the socket's own is
    // repeated, and "any" must be IPv4's (net/ipv4/ip_sockglue.c: ip_cmsg_send).
    const address own = local().unmapped();
    if (own.is_ipv4()) source.local = own;
    if (own.is_ipv6() && !destination.is_none()) source.local = any_ipv4();
  }
  detail::control_builder control;
  control.add_source(source, family_);
  if (options.codepoint && is_ip(family_)) {
    // The connected peer of an IPv6 socket may be IPv4; each protocol passes over what is the other's.
    const bool unknown = family_ == AF_INET6 && destination.is_none();
    const bool as_ipv4 = family_ == AF_INET || destination.is_v4_mapped();
    const int mark = static_cast<int>(*options.codepoint);
    if (as_ipv4 || unknown) control.add_traffic_class((tos_ & 0xfc) | mark, AF_INET);
    if (!as_ipv4 || unknown) control.add_traffic_class((traffic_class_ & 0xfc) | mark, AF_INET6);
  }

  std::size_t total = 0;
  if (options.segment_size != 0) {
    for (const iovec& part : parts) total += part.iov_len;
  }
  if (options.segment_size == 0 || total <= options.segment_size) {
    control.attach(message);
    return send_message(fd_, message);
  }

  const std::size_t segments = (total + options.segment_size - 1) / options.segment_size;
  if (udp_ && segments <= most_segments && total <= most_segmented_bytes) {
    detail::control_builder cut = control;
    cut.add_segment_size(static_cast<std::uint16_t>(options.segment_size));
    cut.attach(message);
    const ssize_t sent = send_message(fd_, message);
    // EIO: the device cannot checksum. EINVAL, since Linux 6.14 EMSGSIZE (commit 235174b): a segment larger than the
    // path's MTU, which the kernel fragments when it is sent by itself.
    if (sent != -EIO && sent != -EINVAL && sent != -EMSGSIZE) return sent;
  }
  static_cast<void>(segments);
  control.attach(message);
  return send_one_by_one(fd_, message, parts, total, options.segment_size);
}

}  // namespace udppump
