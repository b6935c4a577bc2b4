#include "socket/port_table.hpp"

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>

#include "address/raw_address.hpp"
#include "sys/sys.hpp"
#include "udppump/descriptor.hpp"

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

/// Nothing more follows, or the list ends before its end.
enum class part : std::uint8_t { more, last, broken };

/// What the kernel says of one socket: a header, and what it tells only of some.
listed_socket read_one(const inet_diag_msg& told, const std::byte* attributes, std::size_t size) {
  listed_socket one{.local = host_and_port(told.idiag_family, told.id.idiag_src, ntohs(told.id.idiag_sport)),
                    .inode = told.idiag_inode,
                    .user = told.idiag_uid,
                    .device = told.id.idiag_if};
  if (told.idiag_family == AF_INET) return one;
  while (size >= sizeof(rtattr)) {
    rtattr head{};
    std::memcpy(&head, attributes, sizeof head);
    if (head.rta_len < sizeof head || head.rta_len > size) break;
    if (head.rta_type == INET_DIAG_SKV6ONLY && head.rta_len > sizeof head) {
      one.takes_ipv4 = attributes[sizeof head] == std::byte{0};
    }
    const std::size_t step = std::min<std::size_t>(RTA_ALIGN(head.rta_len), size);
    attributes += step;
    size -= step;
  }
  return one;
}

part read_some(const std::byte* at, std::size_t size, std::span<const std::uint16_t> ports,
               std::vector<listed_socket>& found) {
  while (size >= sizeof(nlmsghdr)) {
    nlmsghdr head{};
    std::memcpy(&head, at, sizeof head);
    if (head.nlmsg_len < sizeof head || head.nlmsg_len > size || head.nlmsg_type == NLMSG_ERROR) return part::broken;
    if (head.nlmsg_type == NLMSG_DONE) return part::last;
    inet_diag_msg told{};
    const std::size_t content = head.nlmsg_len - NLMSG_HDRLEN;
    if (content < sizeof told) return part::broken;
    std::memcpy(&told, at + NLMSG_HDRLEN, sizeof told);
    if (is_among(ports, ntohs(told.id.idiag_sport)) && told.idiag_inode != 0) {
      found.push_back(read_one(told, at + NLMSG_HDRLEN + sizeof told, content - sizeof told));
    }
    const std::size_t step = std::min<std::size_t>(NLMSG_ALIGN(head.nlmsg_len), size);
    at += step;
    size -= step;
  }
  return part::more;
}

/// Whether all of this family were told.
bool ask_for(int netlink, int family, std::span<const std::uint16_t> ports, std::vector<listed_socket>& found) {
  struct {
    nlmsghdr head;
    inet_diag_req_v2 what;
  } question{};
  question.head = {.nlmsg_len = sizeof question,
                   .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                   .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
                   .nlmsg_seq = static_cast<std::uint32_t>(family),
                   .nlmsg_pid = 0};
  question.what.sdiag_family = static_cast<std::uint8_t>(family);
  question.what.sdiag_protocol = IPPROTO_UDP;
  question.what.idiag_states = ~0u;
  if (sys::sendto(netlink, &question, sizeof question, MSG_DONTWAIT, nullptr, 0) < 0) return false;
  std::vector<std::byte> answer(std::size_t{1} << 15);
  for (;;) {
    iovec place{answer.data(), answer.size()};
    msghdr message{};
    message.msg_iov = &place;
    message.msg_iovlen = 1;
    // The kernel writes the list while it is read: there is always more until the end.
    const ssize_t size = sys::recvmsg(netlink, &message, MSG_DONTWAIT);
    if (size <= 0 || (message.msg_flags & MSG_TRUNC) != 0) return false;
    const part came = read_some(answer.data(), static_cast<std::size_t>(size), ports, found);
    if (came != part::more) return came == part::last;
  }
}

bool ask_kernel(std::span<const std::uint16_t> ports, std::vector<listed_socket>& found) {
  const int made = sys::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
  if (made < 0) return false;
  const descriptor netlink{made};
  return ask_for(made, AF_INET, ports, found) && ask_for(made, AF_INET6, ports, found);
}

// --- /proc -----------------------------------------------------------------------------------------------------------

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
  return host_and_port(colon == 8 ? AF_INET : AF_INET6, words, port);
}

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
    one.socket.local = read_local(local);
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
