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

std::string named(const std::string& interface) { return "interface \"" + interface + '"'; }

bool is_there(unsigned index) { return index != 0 && !name_of_interface(index).empty(); }

/// Tells a state, unless it was told already.
void tell(std::error_code& told, std::error_code code, std::string text, std::vector<interface_change>& changes,
          bool is_mended_now = false) {
  if (told == code) return;
  told = code;
  changes.push_back({code, std::move(text), is_mended_now});
}

}  // namespace

socket_footing::socket_footing(std::string device, unsigned index, const std::vector<multicast_membership>& memberships)
    : device_{std::move(device)}, device_index_{index} {
  for (const auto& each : memberships) memberships_.push_back({each.group, each.interface});
}

void socket_footing::is_in_all_groups(int fd) {
  for (membership& one : memberships_) {
    one.index = one.interface.empty() ? interface_of_group(fd, one.group) : sys::interface_index(one.interface.c_str());
  }
}

std::vector<interface_change> socket_footing::mend_and_read_changes(int fd) {
  std::vector<interface_change> changes;
  if (!device_.empty()) look_at_device(fd, changes);
  for (membership& each : memberships_) look_at(fd, each, changes);
  return changes;
}

std::string socket_footing::refused_device() const {
  if (device_told_ != std::errc::operation_not_permitted) return {};
  return "is bound to " + named(device_) +
         ", which was deleted and made again, and it takes CAP_NET_RAW to bind it to "
         "the new one";
}

void socket_footing::look_at_device(int fd, std::vector<interface_change>& changes) {
  const std::string what = named(device_);
  bool is_mended_now = false;
  if (!is_there(device_index_)) {
    const unsigned now = device_index(fd);
    if (is_there(now)) device_index_ = now;  // another's mending
  }
  if (!is_there(device_index_)) {
    const unsigned made_again = sys::interface_index(device_.c_str());
    if (made_again == 0) {
      tell(device_told_, code_of(ENODEV),
           what + " was deleted: the socket, which is bound to it, receives nothing until one of that name is made",
           changes);
      return;
    }
    const int bound = bind_to_device(fd, device_);
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
    is_mended_now = true;
  }
  tell(device_told_, {}, what + " was deleted and made again: the socket is bound to the new one", changes,
       is_mended_now);
}

void socket_footing::look_at(int fd, membership& one, std::vector<interface_change>& changes) {
  if (is_there(one.index)) return;  // be it under another name
  unsigned index = 0;
  if (!one.interface.empty()) {
    index = sys::interface_index(one.interface.c_str());
    if (index == 0) {
      tell(one.told, code_of(ENODEV),
           name_of(one) + ": the interface was deleted, and the membership with it, until one of that name is made",
           changes);
      return;
    }
  } else if (one.index == 0) {
    one.index = interface_of_group(fd, one.group);
    if (one.index != 0) return;
  }
  // Memberships of a socket are limited.
  if (one.index != 0) static_cast<void>(leave_group(fd, one.group, one.index));
  const int joined = join_group(fd, one.group, index);
  if (joined < 0 && joined != -EADDRINUSE) {
    tell(one.told, code_of(joined),
         name_of(one) + ": the membership went with its interface, and joining again is refused (" +
             code_of(joined).message() + "); it is tried again when an interface or a route changes",
         changes);
    return;
  }
  // EADDRINUSE: another process has joined, or it never left.
  if (joined >= 0 || one.index != 0) one.told = code_of(ENODEV);
  one.index = index != 0 ? index : interface_of_group(fd, one.group);
  tell(one.told, {}, name_of(one) + ": the interface was deleted and made again, and the group is joined again",
       changes, joined >= 0);
}

std::string name_of(const socket_footing::membership& one) {
  const std::string group = one.group.with_port(0).to_string();
  return "group " + group.substr(0, group.rfind(':')) + (one.interface.empty() ? "" : " on " + named(one.interface));
}

interface_watch::interface_watch(const datagram_socket& watched)
    : watched_{watched},
      notices_{listen_for_changes(chooses_by_route(watched))},
      footing_{watched.device(), device_index(watched.fd()), watched.memberships()} {}

void interface_watch::after_fork() { notices_ = listen_for_changes(chooses_by_route(watched_)); }

std::vector<interface_change> interface_watch::mend_and_read_changes() {
  std::array<std::byte, 1> waste;  // what it says does not matter: the kernel is asked how things are
  for (int taken = 0; taken < most_notices; ++taken) {
    const auto came = notices_.receive(waste);
    if (came.error && came.error != std::errc::no_buffer_space) break;  // some were lost: all the more to look at
  }
  return footing_.mend_and_read_changes(watched_.fd());
}

}  // namespace udppump::detail
