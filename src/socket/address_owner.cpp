#include "socket/address_owner.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string_view>
#include <utility>
#include <vector>

#include "address/raw_address.hpp"
#include "address/unix_name.hpp"
#include "sys/printable.hpp"

namespace udppump::detail {

namespace {

namespace fs = std::filesystem;

struct bound_socket {
  std::string link;  // "socket:[INODE]", as in a process' folder fd
  address local;
  std::string inode = {}, user = {};
};

/// "HEX:PORT" of /proc/net/udp: the host in words of 32 bits as they lie in memory, 1 for IPv4 and 4 for IPv6.
address read_local(std::string_view text) noexcept {
  const auto colon = text.find(':');
  if (colon != 8 && colon != 32) return {};
  std::uint32_t words[4] = {};
  for (std::size_t word = 0; word * 8 < colon; ++word) {
    std::from_chars(text.data() + word * 8, text.data() + word * 8 + 8, words[word], 16);
  }
  std::uint16_t port = 0;
  std::from_chars(text.data() + colon + 1, text.data() + text.size(), port, 16);
  if (colon == 8) {
    in_addr host{};
    std::memcpy(&host, words, sizeof host);
    return address_of(raw_ipv4(host, port));
  }
  in6_addr host{};
  std::memcpy(&host, words, sizeof host);
  return address_of(raw_ipv6(host, 0, port)).unmapped();
}

/// UDP sockets on `port`: /proc/net/udp has "sl local_address rem_address st queues tr retrnsmt uid timeout inode".
std::vector<bound_socket> sockets_on(std::uint16_t port) {
  std::vector<bound_socket> found;
  for (const char* const table : {"/proc/self/net/udp", "/proc/self/net/udp6"}) {
    std::ifstream lines{table};
    std::string line;
    std::getline(lines, line);
    while (std::getline(lines, line)) {
      std::istringstream words{line};
      std::string slot, local, skipped, user, inode;
      words >> slot >> local;
      for (int column = 0; column < 5; ++column) words >> skipped;
      words >> user >> skipped >> inode;
      const address bound = read_local(local);
      if (!bound.is_none() && bound.port() == port) {
        found.push_back({std::string{"socket:["}.append(inode).append("]"), bound, inode, user});
      }
    }
  }
  return found;
}

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
    if (bound == name) found.push_back({std::string{"socket:["}.append(inode).append("]"), local});
  }
  return found;
}

/// Whether a socket bound to `other` is in the way of binding `local`, on the same port.
bool collides(const address& local, const address& other) noexcept {
  return local.is_wildcard() || other.is_wildcard() || local.unmapped().with_port(0) == other.with_port(0);
}

std::vector<bound_socket> sockets_in_the_way(const address& local) {
  if (local.is_unix()) return sockets_named(local);
  auto found = sockets_on(local.port());
  std::erase_if(found, [&local](const bound_socket& each) { return !collides(local, each.local); });
  return found;
}

/// Which of the sockets a process has; the end for none.
auto held_by(const fs::path& process, const std::vector<bound_socket>& sockets) {
  std::error_code refused;
  for (fs::directory_iterator at{process / "fd", refused}, end; !refused && at != end; at.increment(refused)) {
    std::error_code gone;
    const std::string link = fs::read_symlink(at->path(), gone).string();
    const auto held =
        std::find_if(sockets.begin(), sockets.end(), [&](const bound_socket& each) { return each.link == link; });
    if (held != sockets.end()) return held;
  }
  return sockets.end();
}

/// The process that has one of the sockets, as "NAME (pid N)", and which it is; empty if /proc does not tell.
std::pair<std::string, std::vector<bound_socket>::const_iterator> holder_of(const std::vector<bound_socket>& sockets) {
  std::error_code refused;
  for (fs::directory_iterator at{"/proc", refused}, end; !refused && at != end; at.increment(refused)) {
    const std::string pid = at->path().filename().string();
    if (pid.find_first_not_of("0123456789") != std::string::npos) continue;
    const auto held = held_by(at->path(), sockets);
    if (held == sockets.end()) continue;
    std::string name;
    std::getline(std::ifstream{at->path() / "comm"}, name);
    return {name + " (pid " + pid + ")", held};
  }
  return {{}, sockets.begin()};
}

}  // namespace

address_owner owner_of(const address& local) {
  const auto sockets = sockets_in_the_way(local);
  if (sockets.empty()) return {};
  auto [process, held] = holder_of(sockets);
  return {std::move(process), held->local};
}

std::vector<port_sharer> sharers_of_port(const address& local, bool takes_ipv4, const std::vector<ino_t>& known) {
  std::vector<port_sharer> found;
  for (const bound_socket& one : sockets_on(local.port())) {
    // What is IPv6 beside a socket of IPv4 may be for IPv6 only; /proc does not tell.
    const bool same_family = local.unmapped().family() == one.local.family();
    if (!same_family && !(takes_ipv4 && one.local.is_ipv4())) continue;
    if (!collides(local, one.local)) continue;
    ino_t inode = 0;
    std::from_chars(one.inode.data(), one.inode.data() + one.inode.size(), inode);
    if (inode == 0 || std::find(known.begin(), known.end(), inode) != known.end()) continue;
    const std::string process = holder_of({one}).first;
    found.push_back({inode, (process.empty() ? "a process" : detail::quoted(process)) + " of user " + one.user});
  }
  return found;
}

}  // namespace udppump::detail
