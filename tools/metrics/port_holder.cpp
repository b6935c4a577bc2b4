#include "metrics/port_holder.hpp"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/types.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <limits>
#include <vector>

#include "socket/address_owner.hpp"

namespace udppump::metrics {

namespace {

/// "HEX:PORT" of /proc/net/tcp: the host in words of 32 bits as they lie in memory, one for IPv4 and four for IPv6
/// (proc(5)).
struct listed_place {
  std::string host, port;
};

template <std::size_t Words>
std::string in_hex(const std::uint32_t (&words)[Words]) {
  std::string text;
  for (const std::uint32_t word : words) {
    std::array<char, 9> digits{};
    std::snprintf(digits.data(), digits.size(), "%08X", static_cast<unsigned>(word));
    text += digits.data();
  }
  return text;
}

listed_place listed(const address& where) {
  std::array<char, 5> port{};
  std::snprintf(port.data(), port.size(), "%04X", static_cast<unsigned>(where.port()));
  if (where.is_ipv4()) {
    sockaddr_in raw{};
    std::memcpy(&raw, where.data(), sizeof raw);
    std::uint32_t words[1] = {raw.sin_addr.s_addr};
    return {in_hex(words), port.data()};
  }
  sockaddr_in6 raw{};
  std::memcpy(&raw, where.data(), sizeof raw);
  std::uint32_t words[4] = {};
  std::memcpy(words, &raw.sin6_addr, sizeof words);
  return {in_hex(words), port.data()};
}

bool is_wildcard(const std::string& host) { return host.find_first_not_of('0') == host.npos; }

}  // namespace

std::string port_holder(const address& where) {
  const listed_place wanted = listed(where);
  std::vector<detail::listed_socket> found;
  for (const char* const table : {"/proc/self/net/tcp", "/proc/self/net/tcp6"}) {
    std::ifstream lines{table};
    // sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode
    constexpr auto whole_line = std::numeric_limits<std::streamsize>::max();
    lines.ignore(whole_line, '\n');
    for (std::string number, local, skipped, state; lines >> number >> local >> skipped >> state;
         lines.ignore(whole_line, '\n')) {
      detail::listed_socket one;
      for (int field = 0; field < 3; ++field) lines >> skipped;
      if (!(lines >> one.user >> skipped >> one.inode)) break;
      const auto colon = local.find(':');
      if (state != "0A" || colon == local.npos || local.substr(colon + 1) != wanted.port) continue;  // 0A: listens
      const std::string host = local.substr(0, colon);
      if (host == wanted.host || is_wildcard(host) || is_wildcard(wanted.host)) found.push_back(one);
    }
  }
  return found.empty() ? std::string{} : detail::names_of(found).front();
}

}  // namespace udppump::metrics
