#include "udppump/socket_options.hpp"

#include <netinet/in.h>
#include <netinet/ip.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <utility>

#include "socket/interfaces.hpp"
#include "sys/failure.hpp"
#include "sys/shared_line.hpp"
#include "sys/sys.hpp"
#include "udppump/datagram_socket.hpp"

#include <netinet/udp.h>

namespace udppump {

using detail::fail;
using detail::fail_with_cure;

namespace {

bool flag_of(int fd, int level, int option) noexcept {
  int value = 0;
  return sys::getsockopt(fd, level, option, value) >= 0 && value != 0;
}

void set(int fd, int level, int option, int value, const char* name) {
  const int done = sys::setsockopt(fd, level, option, value);
  if (done < 0) fail_with_cure(done, "setsockopt " + std::string{name} + " = " + std::to_string(value));
}

bool is_ip(int family) noexcept { return family == AF_INET || family == AF_INET6; }

struct ip_option {
  int option;
  const char* name;
};

/// IPv4's form of an option, and IPv6's on an IPv6 socket. That takes IPv4's as well, for the IPv4 it speaks; raw ones
/// refuse it (net/ipv6/raw.c: rawv6_setsockopt).
void set_both(int fd, int family, ip_option v4, ip_option v6, int value) {
  if (family == AF_INET) return set(fd, IPPROTO_IP, v4.option, value, v4.name);
  if (family != AF_INET6) return;
  set(fd, IPPROTO_IPV6, v6.option, value, v6.name);
  static_cast<void>(sys::setsockopt(fd, IPPROTO_IP, v4.option, value));
}

/// What the kernel takes for one at most (net/core/sock.c: __sock_set_rcvbuf).
constexpr std::size_t largest_buffer = INT32_MAX / 2;

/// Asks for bytes of payload; the kernel keeps its books on top of that, and answers with both (socket(7)).
buffer_size size_buffer(int fd, std::size_t asked, int plain, int force, const char* limit) {
  buffer_size result{.asked = asked, .granted = 0, .limit = limit};
  if (asked != 0) {
    const int wanted = static_cast<int>(std::min(asked, largest_buffer));
    static_cast<void>(sys::setsockopt(fd, SOL_SOCKET, plain, wanted));
    int now = 0;
    // The plain option is cut to the sysctl's limit; with CAP_NET_ADMIN the other is not.
    if (sys::getsockopt(fd, SOL_SOCKET, plain, now) >= 0 && now / 2 < wanted) {
      static_cast<void>(sys::setsockopt(fd, SOL_SOCKET, force, wanted));
    }
  }
  int now = 0;
  if (sys::getsockopt(fd, SOL_SOCKET, plain, now) >= 0) result.granted = static_cast<std::size_t>(now / 2);
  return result;
}

std::string written(std::size_t bytes) {
  if (bytes == 0 || bytes % 1024 != 0) return std::to_string(bytes) + " bytes";
  if (bytes % (std::size_t{1} << 30) == 0) return std::to_string(bytes >> 30) + " GiB";
  if (bytes % (1024 * 1024) == 0) return std::to_string(bytes / (1024 * 1024)) + " MiB";
  return std::to_string(bytes / 1024) + " KiB";
}

unsigned interface_index(const std::string& name, const std::string& what) {
  const bool is_whole = name.find('\0') == std::string::npos;
  const unsigned index = is_whole ? sys::interface_index(name.c_str()) : 0;
  if (index == 0) fail(ENODEV, what + ": no interface \"" + name + "\"; name one that `ip link` shows");
  return index;
}

/// Whether datagrams of IPv4 come to a socket at all. `local` is none if the socket is not bound yet.
bool takes_ipv4(int fd, int family, const address& local) noexcept {
  if (family == AF_INET) return true;
  return !flag_of(fd, IPPROTO_IPV6, IPV6_V6ONLY) &&
         (local.is_none() || local.is_wildcard() || local.unmapped().is_ipv4());
}

void check_family(int fd, int family, const address& local, const address& group, const std::string& what) {
  if (group.is_ipv6() && family != AF_INET6) {
    fail(EINVAL, what +
                     ": a group of IPv6 needs an IPv6 socket, and this one is not: bind an address such as "
                     "[::]:PORT, or join a group of IPv4");
  }
  if (group.is_ipv4() && !takes_ipv4(fd, family, local)) {
    fail(EINVAL, what +
                     ": a group of IPv4 needs a socket of IPv4, and this one takes IPv6 only: bind an address such "
                     "as 0.0.0.0:PORT, or join a group of IPv6");
  }
}

/// Returns the membership with its interface's name, if that is known. `before`: those that were joined by now; a
/// socket that was handed on may be in others as well.
multicast_membership join(const datagram_socket& socket, const address& local, const multicast_membership& wanted,
                          const std::vector<multicast_membership>& before) {
  const int fd = socket.fd();
  multicast_membership made = wanted;
  const std::string what = "joining " + made.group.to_string();
  if (!made.group.is_multicast()) {
    fail(EINVAL, what + ": not a multicast address; groups are 224.0.0.0 to 239.255.255.255 and ff00::/8");
  }
  check_family(fd, socket.family(), local, made.group, what);
  unsigned index = made.group.scope_id();
  if (!made.interface.empty()) {
    index = interface_index(made.interface, what);
  } else if (index != 0) {
    made.interface = detail::name_of_interface(index);
  }
  const int done = detail::join_group(fd, made.group, index);
  if (done == -ENODEV) fail(done, what + ": no route says by which interface; name the interface of the group");
  if (done == -ENOBUFS) {
    fail(done, what +
                   ": the socket is in as many groups as may be; raise net.ipv4.igmp_max_memberships, or "
                   "net.core.optmem_max for IPv6");
  }
  if (done == -EADDRINUSE) {
    const bool is_twice = std::any_of(before.begin(), before.end(), [&made](const multicast_membership& one) {
      return one.group.with_port(0) == made.group.with_port(0) && one.interface == made.interface;
    });
    if (is_twice) fail(done, what + ": the socket is in that group already; name it once");
    return made;
  }
  if (done < 0) fail_with_cure(done, what);
  return made;
}

/// IPv6 has the same numbers (linux/in6.h).
int kernels(path_mtu_discovery wanted) noexcept {
  switch (wanted) {
    case path_mtu_discovery::omit:
      return IP_PMTUDISC_OMIT;
    case path_mtu_discovery::interface:
      return IP_PMTUDISC_INTERFACE;
    case path_mtu_discovery::dont:
      return IP_PMTUDISC_DONT;
    case path_mtu_discovery::always:
      return IP_PMTUDISC_DO;
    case path_mtu_discovery::probe:
      return IP_PMTUDISC_PROBE;
    case path_mtu_discovery::want:
    case path_mtu_discovery::kernel_default:
      break;
  }
  return IP_PMTUDISC_WANT;
}

void set_path_mtu(int fd, int family, path_mtu_discovery wanted) {
  if (wanted == path_mtu_discovery::kernel_default) return;
  constexpr int least_of_ipv6 = 1280;  // RFC 8200, 5
  if (family == AF_INET6 && wanted == path_mtu_discovery::omit) {
    // Without discovery, what fits the interface and not the path would be lost for ever: routers do not cut IPv6, and
    // IPV6_MTU only cuts what is larger than the interface's MTU (net/ipv6/ip6_output.c: ip6_finish_output).
    set(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_WANT, "IPV6_MTU_DISCOVER");
    set(fd, IPPROTO_IPV6, IPV6_MTU, least_of_ipv6, "IPV6_MTU");
    static_cast<void>(sys::setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_OMIT));  // of the IPv4 it speaks
    return;
  }
  set_both(fd, family, {IP_MTU_DISCOVER, "IP_MTU_DISCOVER"}, {IPV6_MTU_DISCOVER, "IPV6_MTU_DISCOVER"}, kernels(wanted));
}

/// Those that ask for something, by name.
std::string options_of_ip(const socket_options& options) {
  const std::pair<bool, const char*> all[] = {
      {options.v6only == setting::on, "IPv6 only"},
      {!options.device.empty(), "interface"},
      {options.local_address == setting::on, "local address"},
      {options.receive_ecn, "ECN"},
      {options.icmp_errors, "ICMP errors"},
      {options.path_mtu != path_mtu_discovery::kernel_default, "path MTU discovery"},
      {options.tos.has_value(), "type of service"},
      {options.broadcast, "broadcast"},
      {!options.join.empty(), "multicast groups"},
  };
  std::string names;
  for (const auto& [given, name] : all) {
    if (given) names += (names.empty() ? "" : ", ") + std::string{name};
  }
  return names;
}

}  // namespace

std::string buffer_size::shortfall() const {
  if (granted >= asked) return {};
  std::string text{std::strcmp(limit, "net.core.rmem_max") == 0 ? "receive" : "send"};
  text += " buffer: asked " + written(asked) + ", granted " + written(granted) + "; ";
  if (granted < largest_buffer) text += std::string{"raise "} + limit;
  if (granted < largest_buffer && asked > largest_buffer) text += ", and ";
  if (asked > largest_buffer) text += "ask for less than 1 GiB: the kernel gives no more";
  return text;
}

void datagram_socket::set_options(const address& local, const socket_options& options) {
  const bool v6 = family_ == AF_INET6;
  if (options.tos && (*options.tos < 0 || *options.tos > 255)) {
    fail(EINVAL, "type of service " + std::to_string(*options.tos) + ": give 0 to 255");
  }
  if (const std::string given = options_of_ip(options); !given.empty() && !is_ip(family_)) {
    fail(EAFNOSUPPORT, "this socket is not of IP, and these options are: " + given + "; omit them");
  }

  if (family_ == AF_INET && options.v6only == setting::on) {
    fail(EINVAL, "IPv6 only: this is a socket of IPv4; omit v6only, or take an address of IPv6");
  }
  if (options.device.find('\0') != std::string::npos) {
    fail(EINVAL, "binding to the interface \"" + options.device.substr(0, options.device.find('\0')) +
                     "\" and a zero byte: no interface is called so; name one that `ip link` shows");
  }

  if (options.reuse_port) set(fd(), SOL_SOCKET, SO_REUSEPORT, 1, "SO_REUSEPORT");
  const bool v6only = options.v6only == setting::on;
  if (v6 && options.v6only != setting::automatic && flag_of(fd(), IPPROTO_IPV6, IPV6_V6ONLY) != v6only) {
    const int done = sys::setsockopt(fd(), IPPROTO_IPV6, IPV6_V6ONLY, v6only ? 1 : 0);
    if (done == -EINVAL) fail(done, "setsockopt IPV6_V6ONLY: the socket is bound; set it before bind");
    if (done < 0) fail_with_cure(done, "setsockopt IPV6_V6ONLY");
  }
  if (!options.device.empty()) {
    const std::string what = "binding to the interface \"" + options.device + '"';
    const int done = detail::bind_to_device(fd(), options.device);
    if (done == -EPERM) fail(done, what, "it needs CAP_NET_RAW (setcap cap_net_raw+ep PROGRAM)");
    if (done < 0) fail_with_cure(done, what);
  }
  if (options.broadcast) set(fd(), SOL_SOCKET, SO_BROADCAST, 1, "SO_BROADCAST");

  const bool learn_address = options.local_address == setting::on ||
                             (options.local_address == setting::automatic && is_ip(family_) && local.is_wildcard());
  // Both on a dual-stack socket: only IPv4's own tells where to answer an IPv4 broadcast from (ip(7), ipi_spec_dst).
  if (learn_address) set_both(fd(), family_, {IP_PKTINFO, "IP_PKTINFO"}, {IPV6_RECVPKTINFO, "IPV6_RECVPKTINFO"}, 1);
  if (options.receive_ecn) set_both(fd(), family_, {IP_RECVTOS, "IP_RECVTOS"}, {IPV6_RECVTCLASS, "IPV6_RECVTCLASS"}, 1);
  if (options.tos) set_both(fd(), family_, {IP_TOS, "IP_TOS"}, {IPV6_TCLASS, "IPV6_TCLASS"}, *options.tos);
  if (options.receive_time) set(fd(), SOL_SOCKET, SO_TIMESTAMPNS, 1, "SO_TIMESTAMPNS");
  if (options.receive_offload) set(fd(), IPPROTO_UDP, UDP_GRO, 1, "UDP_GRO");
  if (options.icmp_errors) set_both(fd(), family_, {IP_RECVERR, "IP_RECVERR"}, {IPV6_RECVERR, "IPV6_RECVERR"}, 1);
  set_path_mtu(fd(), family_, options.path_mtu);
  for (const auto& membership : options.join) memberships_.push_back(join(*this, local, membership, memberships_));
  receive_buffer_ = size_buffer(fd(), options.receive_buffer, SO_RCVBUF, SO_RCVBUFFORCE, "net.core.rmem_max");
  send_buffer_ = size_buffer(fd(), options.send_buffer, SO_SNDBUF, SO_SNDBUFFORCE, "net.core.wmem_max");
}

/// What the socket sends along is asked of the socket itself: whoever made it may have set more than our options.
void datagram_socket::read_back() {
  shared_line_ = detail::make_shared_line();
  const bool v4 = family_ == AF_INET;
  const bool v6 = family_ == AF_INET6;
  control_.local_address =
      (v4 && flag_of(fd(), IPPROTO_IP, IP_PKTINFO)) || (v6 && flag_of(fd(), IPPROTO_IPV6, IPV6_RECVPKTINFO));
  control_.ecn =
      ((v4 || v6) && flag_of(fd(), IPPROTO_IP, IP_RECVTOS)) || (v6 && flag_of(fd(), IPPROTO_IPV6, IPV6_RECVTCLASS));
  if ((v4 || v6) && sys::getsockopt(fd(), IPPROTO_IP, IP_TOS, tos_) < 0) tos_ = 0;
  if (v6 && sys::getsockopt(fd(), IPPROTO_IPV6, IPV6_TCLASS, traffic_class_) < 0) traffic_class_ = 0;
  int protocol = 0;
  int segment = 0;
  // Linux before 4.18 takes no notice of UDP_SEGMENT in control data, and would send all as one datagram. Asked of the
  // socket it says that it does not know it; UDP_GRO is younger (5.0).
  udp_ = (v4 || v6) && sys::getsockopt(fd(), SOL_SOCKET, SO_PROTOCOL, protocol) >= 0 && protocol == IPPROTO_UDP &&
         sys::getsockopt(fd(), IPPROTO_UDP, UDP_SEGMENT, segment) >= 0;
  control_.receive_time = flag_of(fd(), SOL_SOCKET, SO_TIMESTAMPNS);
  control_.segments = udp_ && flag_of(fd(), IPPROTO_UDP, UDP_GRO);
  control_.icmp_errors =
      (v4 && flag_of(fd(), IPPROTO_IP, IP_RECVERR)) || (v6 && flag_of(fd(), IPPROTO_IPV6, IPV6_RECVERR));
  device_ = detail::device_of(fd());
}

}  // namespace udppump
