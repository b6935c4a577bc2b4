#include "socket/port_table.hpp"

#include <linux/inet_diag.h>
#include <netinet/in.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>

#include "address/raw_address.hpp"
#include "socket/udp_list.hpp"

namespace udppump::detail {

namespace {

bool is_among(std::span<const std::uint16_t> ports, std::uint16_t port) noexcept {
  return std::find(ports.begin(), ports.end(), port) != ports.end();
}

address host_and_port(int family, const void* host, std::uint16_t port) noexcept {
  if (family == AF_INET) {
    in_addr raw{};
    std::memcpy(&raw, host, sizeof raw);
    return address_of(raw_ipv4(raw, port));
  }
  in6_addr raw{};
  std::memcpy(&raw, host, sizeof raw);
  return address_of(raw_ipv6(raw, 0, port)).unmapped();
}

// --- sock_diag(7) ----------------------------------------------------------------------------------------------------

/// What the kernel says of one socket: a header, and what it tells only of some.
listed_socket read_one(const inet_diag_msg& told, std::span<const std::byte> more) {
  listed_socket one{.local = host_and_port(told.idiag_family, told.id.idiag_src, ntohs(told.id.idiag_sport)),
                    .inode = told.idiag_inode,
                    .user = told.idiag_uid,
                    .device = told.id.idiag_if};
  if (told.idiag_family == AF_INET) return one;
  const auto only = attribute_of(more, INET_DIAG_SKV6ONLY);
  if (!only.empty()) one.takes_ipv4 = only.front() == std::byte{0};
  return one;
}

bool ask_kernel(std::span<const std::uint16_t> ports, std::vector<listed_socket>& found) {
  const auto note = [&](const inet_diag_msg& told, std::span<const std::byte> more) {
    if (is_among(ports, ntohs(told.id.idiag_sport))) found.push_back(read_one(told, more));
  };
  return list_udp_sockets(AF_INET, 0, note) && list_udp_sockets(AF_INET6, 0, note);
}

// --- /proc -----------------------------------------------------------------------------------------------------------

void read_tables(std::span<const std::uint16_t> ports, std::vector<listed_socket>& found) {
  for (const char* const table : {"/proc/self/net/udp", "/proc/self/net/udp6"}) {
    const auto lines = read_udp_table(table);
    for (std::size_t at = 0; lines && at < lines->size(); ++at) {
      const listed_socket& one = (*lines)[at].socket;
      if (is_among(ports, one.local.port())) found.push_back(one);
    }
  }
}

}  // namespace

address address_in_table(std::string_view text) noexcept {
  // The host is in words of 32 bits as they lie in memory, 1 for IPv4 and 4 for IPv6 (proc(5)).
  const auto colon = text.find(':');
  if (colon != 8 && colon != 32) return {};
  std::uint32_t words[4] = {};
  for (std::size_t word = 0; word * 8 < colon; ++word) {
    std::from_chars(text.data() + word * 8, text.data() + word * 8 + 8, words[word], 16);
  }
  std::uint16_t port = 0;
  std::from_chars(text.data() + colon + 1, text.data() + text.size(), port, 16);
  return host_and_port(colon == 8 ? AF_INET : AF_INET6, words, port);
}

std::optional<std::vector<table_line>> read_udp_table(const std::string& path) {
  std::ifstream lines{path};
  std::string line;
  if (!std::getline(lines, line)) return {};
  std::vector<table_line> found;
  while (std::getline(lines, line)) {
    // "sl local_address rem_address st tx_queue:rx_queue tr:when retrnsmt uid timeout inode ref pointer drops"
    std::istringstream words{line};
    std::string slot, local, queues, skipped;
    table_line one;
    words >> slot >> local >> skipped >> skipped >> queues >> skipped >> skipped;
    words >> one.socket.user >> skipped >> one.socket.inode >> skipped >> skipped >> one.drops;
    one.socket.local = address_in_table(local);
    if (!words || one.socket.inode == 0 || one.socket.local.is_none()) continue;
    const auto received = queues.find(':') + 1;
    std::from_chars(queues.data() + received, queues.data() + queues.size(), one.queued, 16);
    found.push_back(one);
  }
  return found;
}

std::vector<listed_socket> udp_sockets_on(std::span<const std::uint16_t> ports) {
  std::vector<listed_socket> found;
  if (ports.empty() || ask_kernel(ports, found)) return found;
  found.clear();
  read_tables(ports, found);
  return found;
}

}  // namespace udppump::detail
