#include "socket/interfaces.hpp"

#include <net/if.h>
#include <netinet/in.h>

#include <array>
#include <cstring>

#include "sys/sys.hpp"
#include "sys/sys_interface.hpp"

namespace udppump::detail {

namespace {

int change_membership(int fd, int option, const address& group, unsigned index) noexcept {
  group_req request{};
  request.gr_interface = index;
  std::memcpy(&request.gr_group, group.data(), group.size());
  return sys::setsockopt(fd, group.is_ipv4() ? IPPROTO_IP : IPPROTO_IPV6, option, request);
}

}  // namespace

int bind_to_device(int fd, const std::string& name) noexcept {
  return sys::setsockopt_text(fd, SOL_SOCKET, SO_BINDTODEVICE, name.c_str(), name.size() + 1);
}

int join_group(int fd, const address& group, unsigned index) noexcept {
  return change_membership(fd, MCAST_JOIN_GROUP, group, index);
}

int leave_group(int fd, const address& group, unsigned index) noexcept {
  return change_membership(fd, MCAST_LEAVE_GROUP, group, index);
}

int hear_all_senders(int fd, const address& group, unsigned index) noexcept {
  if (index == 0) {
    struct if_nameindex* const all = sys::interfaces();
    int found = 0;
    for (const auto* one = all; one != nullptr && one->if_index != 0; ++one) {
      if (const int here = hear_all_senders(fd, group, one->if_index); here != 0) found = here;
    }
    sys::free_interfaces(all);
    return found;
  }
  group_filter senders{};
  senders.gf_interface = index;
  std::memcpy(&senders.gf_group, group.data(), group.size());
  const int level = group.is_ipv4() ? IPPROTO_IP : IPPROTO_IPV6;
  socklen_t size = GROUP_FILTER_SIZE(0);
  if (sys::getsockopt_sized(fd, level, MCAST_MSFILTER, &senders, size) < 0) return 0;  // it is not in it here
  if (senders.gf_fmode == MCAST_EXCLUDE && senders.gf_numsrc == 0) return 0;
  senders.gf_fmode = MCAST_EXCLUDE;
  senders.gf_numsrc = 0;
  const int done =
      sys::setsockopt_text(fd, level, MCAST_MSFILTER, reinterpret_cast<const char*>(&senders), GROUP_FILTER_SIZE(0));
  return done < 0 ? done : 1;
}

unsigned interface_of_group(int fd, const address& group) noexcept {
  struct if_nameindex* const all = sys::interfaces();
  unsigned found = 0;
  for (const auto* one = all; one != nullptr && one->if_index != 0 && found == 0; ++one) {
    group_filter senders{};
    senders.gf_interface = one->if_index;
    std::memcpy(&senders.gf_group, group.data(), group.size());
    socklen_t size = GROUP_FILTER_SIZE(0);
    const int level = group.is_ipv4() ? IPPROTO_IP : IPPROTO_IPV6;
    if (sys::getsockopt_sized(fd, level, MCAST_MSFILTER, &senders, size) >= 0) found = one->if_index;
  }
  sys::free_interfaces(all);
  return found;
}

std::string device_of(int fd) {
  std::array<char, IF_NAMESIZE> name{};
  return sys::getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name) < 0 ? std::string{} : std::string{name.data()};
}

unsigned device_index(int fd) noexcept {
  int index = 0;
  return sys::getsockopt(fd, SOL_SOCKET, SO_BINDTOIFINDEX, index) < 0 ? 0 : static_cast<unsigned>(index);
}

std::string name_of_interface(unsigned index) {
  std::array<char, IF_NAMESIZE> name{};
  return sys::interface_name(index, name.data()) ? std::string{name.data()} : std::string{};
}

}  // namespace udppump::detail
