// Any bytes as the control data of a message, of any length and at any alignment; and parts of the kinds that the
// kernel sends, with any value and, at times, a length that is not theirs. Nothing reads past the end or goes round for
// ever, what is told is of the kind it should be, and what is built of it for a reply parses to the same.

#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/udp.h>

#include <algorithm>
#include <array>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>
#include <vector>

#include "socket/control_message.hpp"

namespace {

using udppump::address;
using udppump::detail::control_builder;
using udppump::detail::parse_queued_error;
using udppump::detail::received_control;

using input = std::span<const std::uint8_t>;

void check(bool holds) {
  if (!holds) std::abort();
}

/// The first byte, which is taken off; 0 if there is none.
std::uint8_t next(input& data) {
  if (data.empty()) return 0;
  const std::uint8_t first = data.front();
  data = data.subspan(1);
  return first;
}

received_control parse_control(const msghdr& message) {
  received_control told;
  udppump::detail::parse_control(message, udppump::detail::received_by::this_process, told);
  return told;
}

bool is_host(const address& a) { return a.is_none() || ((a.is_ipv4() || a.is_ipv6()) && a.port() == 0); }

void check_told(const received_control& told) {
  check(is_host(told.to) && is_host(told.source.local));
  check(!told.to.is_v4_mapped() && !told.source.local.is_v4_mapped());
  check(!told.source.local.is_multicast() || told.source.local.is_ipv4());
  check(told.segment_size <= INT_MAX);
  check(static_cast<unsigned>(told.ecn) <= 3);
  check(told.to.is_none() == told.source.local.is_none() || told.to.is_multicast());
}

void check_reply(const received_control& told, int socket_family) {
  control_builder builder;
  builder.add_source(told.source, socket_family);
  builder.add_traffic_class(static_cast<int>(told.ecn), socket_family);
  builder.add_segment_size(static_cast<std::uint16_t>(told.segment_size));
  msghdr message{};
  builder.attach(message);
  const received_control again = parse_control(message);
  check_told(again);
  check(again.ecn == told.ecn);
  check(parse_queued_error(message) == 0);
}

/// At `shift` bytes from where a buffer begins, in memory of just that size.
void parse(input control, std::size_t shift) {
  const std::unique_ptr<std::uint8_t[]> exact{new std::uint8_t[shift + control.size()]};
  std::copy(control.begin(), control.end(), exact.get() + shift);
  msghdr message{};
  message.msg_control = exact.get() + shift;
  message.msg_controllen = control.size();
  const received_control told = parse_control(message);
  check_told(told);
  check_reply(told, AF_INET);
  check_reply(told, AF_INET6);
  static_cast<void>(parse_queued_error(message));
}

/// Parts that are nearly what the kernel sends.
std::vector<std::uint8_t> parts_of(input data) {
  struct kind {
    int level, type;
  };
  constexpr std::array kinds{kind{IPPROTO_IP, IP_PKTINFO},     kind{IPPROTO_IP, IP_TOS},
                             kind{IPPROTO_IPV6, IPV6_PKTINFO}, kind{IPPROTO_IPV6, IPV6_TCLASS},
                             kind{IPPROTO_UDP, UDP_GRO},       kind{SOL_SOCKET, SCM_TIMESTAMPNS},
                             kind{IPPROTO_IP, IP_RECVERR},     kind{IPPROTO_IPV6, IPV6_RECVERR}};
  std::vector<std::uint8_t> control;
  while (!data.empty()) {
    const kind one = kinds[next(data) % kinds.size()];
    const std::uint8_t shape = next(data);  // the size of the value, and whether the length tells it
    const std::size_t value_size = std::min<std::size_t>(shape & 63, data.size());
    cmsghdr header{};
    header.cmsg_len = CMSG_LEN(value_size);
    if (shape & 64) header.cmsg_len += next(data);
    if (shape & 128) header.cmsg_len -= next(data);
    header.cmsg_level = one.level;
    header.cmsg_type = one.type;
    const std::size_t at = control.size();
    control.resize(at + CMSG_SPACE(value_size));
    std::memcpy(control.data() + at, &header, sizeof header);
    const input value = data.first(std::min(value_size, data.size()));
    std::copy(value.begin(), value.end(), control.data() + at + CMSG_LEN(0));
    data = data.subspan(value.size());
  }
  return control;
}

}  // namespace

// In the place of libc's: descriptors that a message passes are closed, and here they are any number.
extern "C" int close(int) { return 0; }

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  input data{bytes, size};
  const std::size_t shift = next(data) % alignof(cmsghdr);
  parse(data, shift);

  auto parts = parts_of(data);
  parse(parts, shift);
  if (!parts.empty()) parse(input{parts}.first(parts.size() - data.back() % parts.size()), shift);
  return 0;
}
