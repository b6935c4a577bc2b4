#include "socket/control_message.hpp"

#include <netinet/ip.h>

#include <algorithm>
#include <cstring>
#include <span>

#include "address/raw_address.hpp"
#include "sys/sys.hpp"

#include <linux/errqueue.h>
#include <netinet/udp.h>

namespace udppump::detail {

namespace {

/// One part of a message's control data, copied out: nothing here depends on how the buffer is aligned.
struct control_part {
  int level;
  int type;
  std::span<const std::byte> value;
};

/// Calls `visit` with each part that lies in the buffer as a whole, up to the first that does not. Not with
/// CMSG_NXTHDR: glibc's believes the length of the first part, and never gets past one near SIZE_MAX.
template <class Visit>
void for_each_part(const msghdr& message, Visit visit) noexcept {
  if (message.msg_control == nullptr) return;
  std::span left{static_cast<const std::byte*>(message.msg_control), static_cast<std::size_t>(message.msg_controllen)};
  while (left.size() >= sizeof(cmsghdr)) {
    cmsghdr header;
    std::memcpy(&header, left.data(), sizeof header);
    const std::size_t size = header.cmsg_len;
    if (size < CMSG_LEN(0) || size > left.size()) return;
    const std::size_t value_size = size - CMSG_LEN(0);
    visit(control_part{header.cmsg_level, header.cmsg_type, left.subspan(CMSG_LEN(0), value_size)});
    left = left.subspan(std::min(left.size(), CMSG_SPACE(value_size)));
  }
}

template <class Value>
std::optional<Value> value_of(const control_part& part) noexcept {
  if (part.value.size() < sizeof(Value)) return {};
  Value value;
  std::memcpy(&value, part.value.data(), sizeof value);
  return value;
}

/// The traffic class comes as an int; IPv4's TOS as one byte (ip(7)).
std::optional<int> traffic_class_of(const control_part& part) noexcept {
  if (const auto wide = value_of<int>(part)) return wide;
  if (const auto narrow = value_of<std::uint8_t>(part)) return *narrow;
  return {};
}

void read_ipv4(const control_part& part, received_control& told) noexcept {
  if (part.type == IP_PKTINFO) {
    if (const auto info = value_of<in_pktinfo>(part)) {
      raw_address::assign(told.to, raw_ipv4(info->ipi_addr));
      told.interface_index = static_cast<unsigned>(info->ipi_ifindex);
      // The address of this host to answer from: if a broadcast or a group was asked, the interface's own. A
      // dual-stack socket is told both ways, by IPV6_PKTINFO first and without that.
      raw_address::assign(told.source.local, raw_ipv4(info->ipi_spec_dst));
      told.source.interface_index = 0;
    }
  } else if (part.type == IP_TOS) {
    if (const auto tos = traffic_class_of(part)) told.ecn = static_cast<ecn>(*tos & 3);
  }
}

void read_ipv6(const control_part& part, received_control& told) noexcept {
  if (part.type == IPV6_PKTINFO) {
    if (const auto info = value_of<in6_pktinfo>(part)) {
      raw_address::assign(told.to, raw_ipv6(info->ipi6_addr, info->ipi6_ifindex));
      if (told.to.is_v4_mapped()) raw_address::assign(told.to, raw_ipv4(ipv4_host(told.to)));
      told.interface_index = info->ipi6_ifindex;
      if (told.to.is_multicast()) {
        told.source.interface_index = info->ipi6_ifindex;  // the kernel chooses an address of that interface
      } else {
        told.source.local = told.to;
        if (told.to.scope_id() != 0) told.source.interface_index = info->ipi6_ifindex;
      }
    }
  } else if (part.type == IPV6_TCLASS) {
    if (const auto traffic_class = traffic_class_of(part)) told.ecn = static_cast<ecn>(*traffic_class & 3);
  }
}

void clear(received_control& told) noexcept {
  raw_address::resize(told.to, 0);
  raw_address::resize(told.source.local, 0);
  told.source.interface_index = told.interface_index = 0;
  told.time = {};
  told.ecn = ecn::not_ect;
  told.segment_size = 0;
}

}  // namespace

void parse_control(const msghdr& message, received_by whom, received_control& told) noexcept {
  clear(told);
  for_each_part(message, [&told, whom](const control_part& part) {
    if (part.level == IPPROTO_IP) {
      read_ipv4(part, told);
    } else if (part.level == IPPROTO_IPV6) {
      read_ipv6(part, told);
    } else if (part.level == SOL_SOCKET && part.type == SCM_RIGHTS) {
      // Whoever may send to a Unix socket can pass descriptors, which are installed here by now: nobody wants them.
      if (whom != received_by::this_process) return;
      for (auto left = part.value; left.size() >= sizeof(int); left = left.subspan(sizeof(int))) {
        int fd;
        std::memcpy(&fd, left.data(), sizeof fd);
        sys::close(fd);
      }
    } else if (part.level == SOL_SOCKET && part.type == SCM_TIMESTAMPNS) {
      if (const auto at = value_of<timespec>(part)) {
        told.time = std::chrono::sys_time<std::chrono::nanoseconds>{std::chrono::nanoseconds{static_cast<std::int64_t>(
            static_cast<std::uint64_t>(at->tv_sec) * 1'000'000'000u + static_cast<std::uint64_t>(at->tv_nsec))}};
      }
    } else if (part.level == SOL_SOCKET && part.type == SCM_TIMESTAMP) {
      if (const auto at = value_of<timeval>(part)) {
        told.time = std::chrono::sys_time<std::chrono::nanoseconds>{
            std::chrono::nanoseconds{static_cast<std::int64_t>(static_cast<std::uint64_t>(at->tv_sec) * 1'000'000'000u +
                                                               static_cast<std::uint64_t>(at->tv_usec) * 1'000u)}};
      }
    } else if (part.level == IPPROTO_UDP && part.type == UDP_GRO) {
      if (const auto size = value_of<int>(part); size && *size > 0) told.segment_size = static_cast<std::size_t>(*size);
    }
  });
}

int parse_queued_error(const msghdr& message) noexcept {
  int error = 0;
  for_each_part(message, [&error](const control_part& part) {
    const bool is_error = (part.level == IPPROTO_IP && part.type == IP_RECVERR) ||
                          (part.level == IPPROTO_IPV6 && part.type == IPV6_RECVERR);
    if (!is_error || error != 0) return;
    // A transmit time comes as ENOMSG (net/core/skbuff.c: __skb_complete_tx_timestamp), and is no error.
    const auto report = value_of<sock_extended_err>(part);
    if (!report || report->ee_origin == SO_EE_ORIGIN_TIMESTAMPING || report->ee_origin == SO_EE_ORIGIN_LOCAL) return;
    error = static_cast<int>(report->ee_errno);
  });
  return error;
}

template <class Value>
void control_builder::add(int level, int type, const Value& value) noexcept {
  cmsghdr header{};
  header.cmsg_len = CMSG_LEN(sizeof value);
  header.cmsg_level = level;
  header.cmsg_type = type;
  std::memset(bytes_ + size_, 0, CMSG_SPACE(sizeof value));
  std::memcpy(bytes_ + size_, &header, sizeof header);
  std::memcpy(bytes_ + size_ + CMSG_LEN(0), &value, sizeof value);
  size_ += CMSG_SPACE(sizeof value);
}

void control_builder::add_source(const send_source& source, int socket_family) noexcept {
  if (source.local.is_none() && source.interface_index == 0) return;
  if (socket_family == AF_INET) {
    in_pktinfo info{};
    info.ipi_ifindex = static_cast<int>(source.interface_index);
    info.ipi_spec_dst = ipv4_host(source.local);
    add(IPPROTO_IP, IP_PKTINFO, info);
  } else if (socket_family == AF_INET6) {
    in6_pktinfo info{};
    info.ipi6_ifindex = source.interface_index;
    info.ipi6_addr = ipv6_host(source.local);
    add(IPPROTO_IPV6, IPV6_PKTINFO, info);
  }
}

void control_builder::add_traffic_class(int value, int destination_family) noexcept {
  if (destination_family == AF_INET) {
    add(IPPROTO_IP, IP_TOS, value);
  } else {
    add(IPPROTO_IPV6, IPV6_TCLASS, value);
  }
}

void control_builder::add_segment_size(std::uint16_t size) noexcept { add(IPPROTO_UDP, UDP_SEGMENT, size); }

void control_builder::attach(msghdr& message) noexcept {
  message.msg_control = size_ == 0 ? nullptr : bytes_;
  message.msg_controllen = size_;
}

}  // namespace udppump::detail
