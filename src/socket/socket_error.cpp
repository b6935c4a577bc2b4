#include "socket/socket_error.hpp"

#include <cerrno>
#include <filesystem>

#include "address/raw_address.hpp"
#include "address/unix_name.hpp"
#include "socket/address_owner.hpp"
#include "sys/failure.hpp"

namespace udppump::detail {

namespace {

/// A link-local address says nothing without its interface.
bool lacks_scope(const address& a) noexcept {
  const in6_addr host = ipv6_host(a);
  return a.is_ipv6() && a.scope_id() == 0 && IN6_IS_ADDR_LINKLOCAL(&host);
}

constexpr const char* scope_is_missing = "a link-local address needs its interface, as in [fe80::1%eth0]:53";

std::string cure_of_taken(const address& local) {
  if (const std::string path = path_of(local); !path.empty() && is_no_socket(path)) {
    return "what is there is no socket: remove it or choose another path";
  }
  if (!local.is_unix() && local.port() == 0) return "no port is free: widen net.ipv4.ip_local_port_range";
  const address_owner owner = owner_of(local);
  if (local.is_unix()) {
    if (!owner.process.empty()) return owner.process + " serves it: stop it, or choose another";
    if (owner.bound_to.is_none()) return "a process that has ended left it, and it cannot be removed: remove it";
    return "a process that cannot be seen from here serves it: `ss -xap` as root names it; stop it, or choose another";
  }
  if (owner.process.empty()) {
    return "a process that cannot be seen from here has the port: `ss -uanp 'sport = :" + std::to_string(local.port()) +
           "'` as root names it; stop it, or choose another";
  }
  const std::string& who = owner.process;
  // Such as systemd-resolved on 127.0.0.53:53, which a wildcard collides with and an address beside it does not.
  if (local.is_wildcard() && !owner.bound_to.is_none() && !owner.bound_to.is_wildcard()) {
    return who + " has the port on " + owner.bound_to.to_string() +
           ": bind one address that is to be served instead of all, or stop it";
  }
  return who + " has the port: stop it, or choose another";
}

std::string cure_of_bind(long error, const address& local) {
  switch (-error) {
    case EADDRINUSE:
      return cure_of_taken(local);
    case EACCES:
      if (local.is_unix()) return "no permission for that directory: choose another, or change its owner or mode";
      return "a low port requires root, the capability CAP_NET_BIND_SERVICE (setcap cap_net_bind_service+ep PROGRAM), "
             "a lower sysctl net.ipv4.ip_unprivileged_port_start, or a socket unit of systemd";
    case ENOENT:
      if (local.is_unix()) return "the directory does not exist: make it first";
      break;
    case EADDRNOTAVAIL:
      if (!local.is_unix()) {
        return "no interface here has that address (`ip address` lists them); if it comes later, set the sysctl "
               "net.ipv4.ip_nonlocal_bind or net.ipv6.ip_nonlocal_bind";
      }
      break;
    case EINVAL:
      if (lacks_scope(local)) return scope_is_missing;
      break;
    default:
      break;
  }
  return cure_of(error);
}

std::string cure_of_connect(long error, const address& peer, bool may_broadcast) {
  switch (-error) {
    case EACCES:
      if (peer.is_unix()) return "no permission for that path: see the modes of it and its directories";
      if (peer.is_ipv4() && !may_broadcast) {
        return "it is a broadcast address, where this socket may not send (SO_BROADCAST), or a route forbids it: see "
               "`ip route get ADDRESS`, and give the address of one host, or change the route";
      }
      return "a route forbids it, or a seccomp profile or a security module: see `ip route get ADDRESS`, and change "
             "what forbids it or give another address";
    case ECONNREFUSED:
    case ENOENT:
      if (peer.is_unix()) return "nobody serves that path: start the server first";
      break;
    case EINVAL:
      if (lacks_scope(peer)) return scope_is_missing;
      break;
    case EAGAIN:
      return "no local port is free: widen net.ipv4.ip_local_port_range";
    default:
      break;
  }
  return cure_of(error);
}

}  // namespace

std::string path_of(const address& a) {
  if (!a.is_unix() || unix_name_of(a).kind != unix_kind::path) return {};
  return a.unix_path();
}

bool is_no_socket(const std::string& path) {
  std::error_code unknown;
  const auto status = std::filesystem::symlink_status(path, unknown);
  return std::filesystem::exists(status) && !std::filesystem::is_socket(status);
}

void fail_to_make(long error, const address& for_whom) {
  if (error == -EAFNOSUPPORT && for_whom.is_ipv6()) {
    fail(
        error, "socket for " + for_whom.to_string(),
        "there is no IPv6 here (switched off in the kernel, by RestrictAddressFamilies= or by a seccomp profile): give "
        "an IPv4 address, such as 0.0.0.0:" +
            std::to_string(for_whom.port()));
  }
  fail_with_cure(error, "socket for " + for_whom.to_string());
}

void fail_to_bind(long error, const address& local) {
  fail(error, "bind " + local.to_string(), cure_of_bind(error, local));
}

void fail_to_connect(long error, const address& peer, bool may_broadcast) {
  fail(error, "connect " + peer.to_string(), cure_of_connect(error, peer, may_broadcast));
}

}  // namespace udppump::detail
