#include "socket/interfaces.hpp"

#include <net/if.h>
#include <netinet/in.h>

#include <array>
#include <cstring>

#include "sys/sys.hpp"

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
