#include "socket/interface_watch.hpp"

#include <array>
#include <cerrno>
#include <span>
#include <utility>

#include "address/raw_address.hpp"
#include "socket/interfaces.hpp"
#include "sys/failure.hpp"
#include "sys/sys.hpp"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>

namespace udppump::detail {

namespace {

/// Messages taken in a row; more wait for the next look.
constexpr int most_notices = 256;

/// A socket that hears of interfaces, and of routes too if the kernel is to choose one for a group by them.
datagram_socket listen_for_changes(bool with_routes) {
  const int made = sys::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (made < 0) fail_with_cure(made, "netlink socket to watch interfaces");
  descriptor owned{made};
  sockaddr_nl groups{};
  groups.nl_family = AF_NETLINK;
  groups.nl_groups = RTMGRP_LINK | (with_routes ? unsigned{RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE} : 0u);
  const address local = address_of(groups);
  const int bound = sys::bind(made, local.data(), local.size());
  if (bound < 0) fail_with_cure(bound, "netlink socket to watch interfaces: bind");
  auto notices = datagram_socket::adopt(owned.fd());
  static_cast<void>(owned.release());
  // An answer is asked for, so that there is a first look: something may have happened before anybody listened.
  nlmsghdr request{};
  request.nlmsg_len = sizeof request;
  request.nlmsg_type = NLMSG_NOOP;
  request.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  static_cast<void>(notices.send_to(std::as_bytes(std::span{&request, 1}), address_of(kernel)));
  return notices;
}

bool chooses_by_route(const datagram_socket& watched) noexcept {
  for (const auto& each : watched.memberships()) {
    if (each.interface.empty()) return true;
  }
  return false;
}

/// Tells a state, unless it was told already.
void tell(std::error_code& told, std::error_code code, std::string text, std::vector<interface_change>& changes) {
  if (told == code) return;
  told = code;
  changes.push_back({code, std::move(text)});
}

}  // namespace

interface_watch::interface_watch(const datagram_socket& watched)
    : watched_{watched}, notices_{listen_for_changes(chooses_by_route(watched))} {
  device_index_ = device_index(watched.fd());
  for (const auto& each : watched.memberships()) {
    memberships_.push_back({each.group, each.interface, 0, {}});
  }
}

void interface_watch::after_fork() { notices_ = listen_for_changes(chooses_by_route(watched_)); }

std::vector<interface_change> interface_watch::mend_and_read_changes() {
  std::array<std::byte, 1> waste;  // what it says does not matter: the kernel is asked how things are
  for (int taken = 0; taken < most_notices; ++taken) {
    const auto came = notices_.receive(waste);
    if (came.error && came.error != std::errc::no_buffer_space) break;  // some were lost: all the more to look at
  }
  std::vector<interface_change> changes;
  if (!watched_.device().empty()) look_at_device(changes);
  for (membership& each : memberships_) look_at(each, changes);
  return changes;
}

void interface_watch::look_at_device(std::vector<interface_change>& changes) {
  const std::string& name = watched_.device();
  const std::string what = "interface \"" + name + '"';
  if (const unsigned index = device_index(watched_.fd()); index != 0)
    device_index_ = index;                                          // another worker's mending
  const bool is_there = !name_of_interface(device_index_).empty();  // be it under another name
  if (!is_there) {
    const unsigned made_again = sys::interface_index(name.c_str());
    if (made_again == 0) {
      tell(device_told_, code_of(ENODEV),
           what + " was deleted: the socket, which is bound to it, receives nothing until one of that name is made",
           changes);
      return;
    }
    const int bound = bind_to_device(watched_.fd(), name);
    if (bound < 0) {
      tell(device_told_, code_of(bound),
           what + " was deleted and made again, and the socket, which is bound to the old one, cannot be bound anew: " +
               (bound == -EPERM ? "give the program CAP_NET_RAW (setcap cap_net_raw+ep PROGRAM, or "
                                  "AmbientCapabilities= in a unit of systemd), or restart it"
                                : "restart the program"),
           changes);
      return;
    }
    device_index_ = made_again;
    device_told_ = code_of(ENODEV);
  }
  tell(device_told_, {}, what + " was deleted and made again: the socket is bound to the new one", changes);
}

void interface_watch::look_at(membership& one, std::vector<interface_change>& changes) {
  if (!one.interface.empty() && !name_of_interface(one.index).empty()) return;
  const std::string what = "group " + one.group.with_port(0).to_string().substr(0, one.group.to_string().rfind(':')) +
                           (one.interface.empty() ? "" : " on interface \"" + one.interface + '"');
  unsigned index = 0;
  if (!one.interface.empty()) {
    index = sys::interface_index(one.interface.c_str());
    if (index == 0) {
      tell(one.told, code_of(ENODEV),
           what + ": the interface was deleted, and the membership with it, until one of that name is made", changes);
      return;
    }
    // Memberships of a socket are limited.
    if (one.index != 0) static_cast<void>(leave_group(watched_.fd(), one.group, one.index));
  }
  const int joined = join_group(watched_.fd(), one.group, index);
  if (joined < 0 && joined != -EADDRINUSE) {
    tell(one.told, code_of(joined),
         what + ": the membership went with its interface, and joining again is refused (" + code_of(joined).message() +
             "); it is tried again when an interface or a route changes",
         changes);
    return;
  }
  // EADDRINUSE: another worker has joined, or it never left.
  if (joined >= 0 || (one.index != 0 && one.index != index)) one.told = code_of(ENODEV);
  one.index = index;
  tell(one.told, {}, what + ": the interface was deleted and made again, and the group is joined again", changes);
}

}  // namespace udppump::detail
