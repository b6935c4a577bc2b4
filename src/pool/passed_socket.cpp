#include "pool/passed_socket.hpp"

#include <linux/netlink.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "socket/socket_name.hpp"
#include "sys/sys.hpp"

namespace udppump::detail {

namespace {

/// -1 if it is no socket.
int option(int fd, int name) {
  int value = -1;
  return sys::getsockopt(fd, SOL_SOCKET, name, value) < 0 ? -1 : value;
}

bool is_served_kind(int family, int type, int protocol, bool from_service_manager) {
  if (family == AF_NETLINK) return from_service_manager && (type == SOCK_RAW || type == SOCK_DGRAM);
  if (type != SOCK_DGRAM) return false;
  if (family == AF_UNIX) return true;
  return (family == AF_INET || family == AF_INET6) &&
         (protocol == IPPROTO_UDP || (from_service_manager && protocol == IPPROTO_UDPLITE));
}

bool is_bound(const address& local) {
  if (local.is_ipv4() || local.is_ipv6()) return local.port() != 0;
  return local.size() > sizeof(sa_family_t);
}

}  // namespace

std::string fault_of(const passed_socket& passed) {
  const int fd = passed.socket.fd();
  const bool managed = passed.as.from_service_manager;
  const int family = option(fd, SO_DOMAIN);
  if (!is_served_kind(family, option(fd, SO_TYPE), option(fd, SO_PROTOCOL), managed)) {
    return "is no socket that a pool serves";
  }
  address name;
  if (local_name(fd, name) < 0 || !is_bound(name)) return "is bound to no address";
  // A netlink socket always has one.
  if (address other; family != AF_NETLINK && peer_name(fd, other) >= 0) {
    return "is connected, so that it hears " + other.to_string() + " alone";
  }
  if (sys::filter_length(fd) != 0) return "has a filter, which may keep datagrams away from the workers";
  if (option(fd, SO_LOCK_FILTER) != 0) return "is locked, so that a filter cannot be changed";
  return {};
}

}  // namespace udppump::detail
