#pragma once

#include <cstdint>
#include <string>

#include "udppump/address.hpp"
#include "udppump/export.hpp"

namespace udppump::detail {

/// What a socket has to do with the interfaces of this machine. Each of these returns 0, or -errno.
int bind_to_device(int fd, const std::string& name) noexcept;
/// Joins or leaves a multicast group; index 0: the interface that the kernel's route for the group names.
int join_group(int fd, const address& group, unsigned index) noexcept;
int leave_group(int fd, const address& group, unsigned index) noexcept;
/// Undoes a filter of senders (MCAST_BLOCK_SOURCE, MCAST_MSFILTER) in a group that the socket is in: 1 if there was
/// one, 0 if there was none, or -errno. index 0: on whichever interface.
int hear_all_senders(int fd, const address& group, unsigned index) noexcept;
/// The first interface on which the socket is in the group; 0 for none.
unsigned interface_of_group(int fd, const address& group) noexcept;

/// The interface that a socket is bound to (SO_BINDTODEVICE); empty for none.
std::string device_of(int fd);
/// Its index, also of one that is gone (SO_BINDTOIFINDEX, Linux 5.0); 0 for none, or if the kernel does not tell.
UDPPUMP_EXPORT unsigned device_index(int fd) noexcept;
/// The index of no interface: a socket that is bound to it receives nothing.
constexpr unsigned no_such_device = INT32_MAX;
/// Empty if there is none with this index.
std::string name_of_interface(unsigned index);

}  // namespace udppump::detail
