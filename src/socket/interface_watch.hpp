#pragma once

#include <string>
#include <system_error>
#include <vector>

#include "udppump/datagram_socket.hpp"

namespace udppump::detail {

/// Something that happened to an interface that a socket stands on.
struct interface_change {
  /// ENODEV: it is gone, and the socket is deaf there. No error: it was made again, and all is mended. Another: it was
  /// made again, and mending was refused.
  std::error_code code;
  /// The same in words, with the cure.
  std::string text;
};

/// Notices when an interface is deleted and made again under a socket that is bound to it (SO_BINDTODEVICE) or that
/// joined a multicast group on it. The kernel tells the socket nothing, and does not mend: the new interface has
/// another index, and the socket goes on naming the old one.
///
/// It asks the kernel how things are, so that several workers may watch one socket: whoever comes first mends, and the
/// others find it mended.
class interface_watch {
 public:
  /// Whether there is anything to watch.
  static bool is_needed_by(const datagram_socket& socket) noexcept {
    return !socket.device().empty() || !socket.memberships().empty();
  }

  /// `watched` must outlive it. Throws std::system_error if the kernel gives no netlink socket.
  explicit interface_watch(const datagram_socket& watched);

  /// A netlink socket, readable when any interface of this machine has changed. Needs no privilege (netlink(7)).
  datagram_socket& notices() noexcept { return notices_; }
  /// Takes all that waits in notices(), mends what can be mended, and returns what is new.
  std::vector<interface_change> mend_and_read_changes();
  /// In the child of a fork: notices() is the parent's until then. Throws as the constructor.
  void after_fork();

 private:
  /// A multicast group and the interface it was joined on.
  struct membership {
    address group;
    std::string interface;  // empty: the kernel chose it
    unsigned index = 0;     // 0: not looked at yet, or the kernel chose
    std::error_code told;
  };

  void look_at_device(std::vector<interface_change>& changes);
  void look_at(membership& one, std::vector<interface_change>& changes);

  const datagram_socket& watched_;
  datagram_socket notices_;
  unsigned device_index_ = 0;
  std::error_code device_told_;
  std::vector<membership> memberships_;
};

}  // namespace udppump::detail
