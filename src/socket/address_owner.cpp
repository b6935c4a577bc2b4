#include "socket/address_owner.hpp"

#include <netinet/in.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <utility>
#include <vector>

#include "address/raw_address.hpp"
#include "address/unix_name.hpp"
#include "socket/interfaces.hpp"
#include "sys/cut_text.hpp"
#include "sys/numbers_in.hpp"
#include "sys/printable.hpp"
#include "sys/process_status.hpp"
#include "sys/sys.hpp"

namespace udppump::detail {

namespace {

namespace fs = std::filesystem;

struct bound_socket {
  std::string link;  // "socket:[INODE]", as in a process' folder fd
  address local;
};

std::string link_of(const std::string& inode) { return std::string{"socket:["}.append(inode).append("]"); }

/// A Unix socket's name as /proc/net/unix has it: an abstract one with '@' for each zero.
std::string listed_name(const address& local) {
  const unix_name name = unix_name_of(local);
  if (name.kind != unix_kind::abstract) return std::string{name.bytes};
  std::string listed = '@' + std::string{name.bytes};
  std::replace(listed.begin(), listed.end(), '\0', '@');
  return listed;
}

/// Unix sockets bound to `local`: /proc/net/unix has "num refcount protocol flags type state inode name".
std::vector<bound_socket> sockets_named(const address& local) {
  const std::string name = listed_name(local);
  std::vector<bound_socket> found;
  std::ifstream lines{"/proc/self/net/unix"};
  std::string line;
  std::getline(lines, line);
  while (std::getline(lines, line)) {
    std::istringstream words{line};
    std::string inode;
    for (int skipped = 0; skipped < 7; ++skipped) words >> inode;
    std::string bound;
    std::getline(words >> std::ws, bound);
    if (bound == name) found.push_back({link_of(inode), local});
  }
  return found;
}

address without_scope(const address& a) noexcept {
  return a.is_ipv6() ? address_of(raw_ipv6(ipv6_host(a), 0, a.port())) : a;
}

/// Whether a socket bound to `other`, as it is listed, is in the way of binding `local`, of the same family and port.
bool collides(const address& local, const address& other) noexcept {
  return local.is_wildcard() || other.is_wildcard() || without_scope(local).with_port(0) == other.with_port(0);
}

enum class obstacle { none, possible, certain, same_address };

obstacle obstacle_of(const address& where, const listed_socket& other) noexcept {
  if (other.local.port() != where.port()) return obstacle::none;
  if (where.family() == other.local.family()) {
    if (without_scope(where) == other.local) return obstacle::same_address;
    return collides(where, other.local) ? obstacle::certain : obstacle::none;
  }
  if (where.is_ipv6()) return where.is_wildcard() ? obstacle::possible : obstacle::none;
  if (!other.local.is_wildcard() || !other.takes_ipv4.value_or(true)) return obstacle::none;
  return other.takes_ipv4 ? obstacle::certain : obstacle::possible;
}

std::vector<bound_socket> sockets_in_the_way(const address& local) {
  if (local.is_unix()) return sockets_named(local);
  std::vector<bound_socket> found;
  const std::uint16_t port = local.port();
  for (const listed_socket& each : in_the_way(local, udp_sockets_on({&port, 1}))) {
    found.push_back({link_of(std::to_string(each.inode)), each.local});
  }
  return found;
}

/// Calls `visit` with "NAME (pid N)" of a process and the link of each descriptor that it has, of all that /proc shows,
/// until it returns false.
template <class Visit>
void visit_descriptors(Visit visit) {
  for (const pid_t pid : numbers_in("/proc")) {
    const fs::path process = folder_of_process(pid);
    std::error_code unseen;
    for (fs::directory_iterator at{process / "fd", unseen}, end; !unseen && at != end; at.increment(unseen)) {
      std::error_code gone;
      const auto called = [&] {
        std::string name;
        std::getline(std::ifstream{process / "comm"}, name);
        name.resize(whole_size(name));  // the kernel cuts it to 15 bytes
        return name + " (pid " + std::to_string(pid) + ")";
      };
      if (!visit(fs::read_symlink(at->path(), gone).string(), called)) return;
    }
  }
}

}  // namespace

std::vector<listed_socket> in_the_way(const address& where, std::span<const listed_socket> listed) {
  const address unmapped = where.unmapped();
  std::vector<listed_socket> found;
  obstacle worst = obstacle::possible;
  for (const listed_socket& each : listed) {
    const obstacle one = obstacle_of(unmapped, each);
    if (one < worst) continue;
    if (one > worst) found.clear();
    worst = one;
    found.push_back(each);
  }
  return found;
}

address_owner owner_of(const address& local) {
  const auto sockets = sockets_in_the_way(local);
  if (sockets.empty()) return {};
  address_owner owner{{}, sockets.front().local};
  visit_descriptors([&](const std::string& link, const auto& called) {
    for (const bound_socket& one : sockets) {
      if (one.link != link) continue;
      owner = {printable(called()), one.local};  // a process may give itself any name (prctl(2))
      return false;
    }
    return true;
  });
  return owner;
}

bound_place place_of(const datagram_socket& socket) {
  const address local = socket.local();
  int v6only = 1;
  const bool takes_ipv4 = local.is_ipv6() && local.is_wildcard() &&
                          sys::getsockopt(socket.fd(), IPPROTO_IPV6, IPV6_V6ONLY, v6only) >= 0 && v6only == 0;
  return {local, device_index(socket.fd()), takes_ipv4};
}

std::vector<listed_socket> sharers_of(const bound_place& here, std::span<const listed_socket> listed,
                                      std::span<const ino_t> known) {
  const address local = here.local.unmapped();
  const auto shares = [&](const listed_socket& other) {
    if (other.local.port() != local.port()) return false;
    if (here.device != 0 && !other.device) return false;  // a list that does not tell which are beside it
    const unsigned device = other.device.value_or(0);
    if (device == no_such_device) return false;  // it receives nothing
    if (here.device != 0 && device != 0 && here.device != device) return false;
    if (local.family() == other.local.family()) return collides(local, other.local);
    if (other.local.is_ipv4()) return here.takes_ipv4;
    return other.local.is_wildcard() && other.takes_ipv4.value_or(true);
  };
  std::vector<listed_socket> found;
  for (const listed_socket& one : listed) {
    if (shares(one) && std::find(known.begin(), known.end(), one.inode) == known.end()) found.push_back(one);
  }
  return found;
}

std::vector<std::string> names_of(std::span<const listed_socket> sockets) {
  std::vector<std::string> links, names(sockets.size());
  for (const listed_socket& one : sockets) links.push_back(link_of(std::to_string(one.inode)));
  std::size_t unknown = sockets.size();
  visit_descriptors([&](const std::string& link, const auto& called) {
    for (std::size_t at = 0; at < links.size(); ++at) {
      if (!names[at].empty() || links[at] != link) continue;
      names[at] = detail::quoted(called());
      --unknown;
    }
    return unknown != 0;
  });
  for (std::size_t at = 0; at < names.size(); ++at) {
    if (names[at].empty()) names[at] = "a process";
    names[at] += " of user " + std::to_string(sockets[at].user) + " (inode " + std::to_string(sockets[at].inode) + ')';
  }
  return names;
}

}  // namespace udppump::detail
