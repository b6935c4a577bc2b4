#include "socket/udp_list.hpp"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "sys/sys.hpp"
#include "udppump/descriptor.hpp"

namespace udppump::detail {

namespace {

/// Nothing more follows, or the list ends before its end.
enum class part : std::uint8_t { more, last, broken };

part read_some(std::span<const std::byte> list, const udp_listed& each) {
  while (list.size() >= sizeof(nlmsghdr)) {
    nlmsghdr head{};
    std::memcpy(&head, list.data(), sizeof head);
    if (head.nlmsg_len < sizeof head || head.nlmsg_len > list.size() || head.nlmsg_type == NLMSG_ERROR) {
      return part::broken;
    }
    if (head.nlmsg_type == NLMSG_DONE) return part::last;
    inet_diag_msg told{};
    const auto content = list.subspan(NLMSG_HDRLEN, head.nlmsg_len - NLMSG_HDRLEN);
    if (content.size() < sizeof told) return part::broken;
    std::memcpy(&told, content.data(), sizeof told);
    if (told.idiag_inode != 0) each(told, content.subspan(sizeof told));
    list = list.subspan(std::min<std::size_t>(NLMSG_ALIGN(head.nlmsg_len), list.size()));
  }
  return part::more;
}

}  // namespace

bool list_udp_sockets(int family, std::uint8_t extensions, const udp_listed& each) {
  const int made = sys::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
  if (made < 0) return false;
  const descriptor netlink{made};
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
  question.what.idiag_ext = extensions;
  question.what.idiag_states = ~0u;
  if (sys::sendto(made, &question, sizeof question, MSG_DONTWAIT, nullptr, 0) < 0) return false;
  std::vector<std::byte> answer(std::size_t{1} << 15);
  for (;;) {
    iovec place{answer.data(), answer.size()};
    msghdr message{};
    message.msg_iov = &place;
    message.msg_iovlen = 1;
    // The kernel writes the list while it is read: there is always more until the end.
    const ssize_t size = sys::recvmsg(made, &message, MSG_DONTWAIT);
    if (size <= 0 || (message.msg_flags & MSG_TRUNC) != 0) return false;
    const part came = read_some(std::span{answer}.first(static_cast<std::size_t>(size)), each);
    if (came != part::more) return came == part::last;
  }
}

std::span<const std::byte> attribute_of(std::span<const std::byte> attributes, std::uint16_t type) noexcept {
  while (attributes.size() >= sizeof(rtattr)) {
    rtattr head{};
    std::memcpy(&head, attributes.data(), sizeof head);
    if (head.rta_len < sizeof head || head.rta_len > attributes.size()) return {};
    if (head.rta_type == type) return attributes.subspan(RTA_LENGTH(0), head.rta_len - RTA_LENGTH(0));
    attributes = attributes.subspan(std::min<std::size_t>(RTA_ALIGN(head.rta_len), attributes.size()));
  }
  return {};
}

}  // namespace udppump::detail
