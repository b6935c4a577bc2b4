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
  /// By who asks, and not by another process before.
  bool is_mended_now = false;
};

/// What a socket stands on: the interface that it is bound to (SO_BINDTODEVICE), and those on which it joined multicast
/// groups. Where one is deleted and made again, the kernel tells the socket nothing, and does not mend: the new
/// interface has another index, and the socket goes on naming the old one.
///
/// It asks the kernel how things are, so that several processes may look at one socket: whoever comes first mends, and
/// the others find it mended.
class UDPPUMP_EXPORT socket_footing {
 public:
  /// A multicast group and the interface it was joined on.
  struct membership {
    address group;
    std::string interface;  // empty: the kernel chose it
    unsigned index = 0;     // 0: not looked at yet, or unknown
    std::error_code told = {};
  };

  socket_footing() = default;
  /// Of a socket that is bound to `device`, if that is not empty, or was to it while it had `index`.
  socket_footing(std::string device, unsigned index, const std::vector<multicast_membership>& memberships);
  /// It is in all groups where it should be, or who has it took it out: the first look does not see to that.
  void is_in_all_groups(int fd);

  /// Mends what can be mended, and returns what is new.
  std::vector<interface_change> mend_and_read_changes(int fd);
  /// Empty if this process may bind the socket to the interface that was made again, as far as it has tried; else what
  /// has happened.
  std::string refused_device() const;

  const std::string& device() const noexcept { return device_; }
  /// Of the device, as it was when the socket was last bound to it.
  unsigned index() const noexcept { return device_index_; }
  const std::vector<membership>& memberships() const noexcept { return memberships_; }

 private:
  void look_at_device(int fd, std::vector<interface_change>& changes);
  static void look_at(int fd, membership& one, std::vector<interface_change>& changes);

  std::string device_ = {};
  unsigned device_index_ = 0;
  std::error_code device_told_ = {};
  std::vector<membership> memberships_ = {};
};
/// "group 239.1.2.3 on interface "eth0"", without the latter if the kernel chose.
std::string name_of(const socket_footing::membership& one);

/// Notices when an interface is deleted and made again under a socket, and mends it.
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
  const datagram_socket& watched_;
  datagram_socket notices_;
  socket_footing footing_;
};

}  // namespace udppump::detail
