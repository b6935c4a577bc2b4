#pragma once

#include <linux/filter.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "socket/interface_watch.hpp"
#include "udppump/datagram_socket.hpp"

namespace udppump::detail {

/// What processes that share a socket may change in it for all of them, as it was when this object was made: to find
/// what one of them did, and to undo it. Of UDP and of Unix datagram sockets; of others nothing is looked at.
///
/// Left alone is what each process may want its own way and no pump depends on: O_NONBLOCK, SO_RCVTIMEO, SO_SNDTIMEO.
/// Who is signalled when something arrives is in socket/arrival_signal.hpp.
class UDPPUMP_EXPORT socket_state {
 public:
  /// Who else has the socket. Programs set options as they like; only what makes the socket deaf or mute is theirs to
  /// leave alone.
  enum class sharers : std::uint8_t { pumps, programs };
  struct change {
    /// Such as "connected to 127.0.0.1:9".
    std::string what;
    enum class result : std::uint8_t { undone, refused, needs_new_socket } outcome;
    /// Why, if it was refused.
    std::string why = {};
    /// Libraries do it to each socket that they are given, and mean nobody harm.
    bool is_habit = false;
  };

  /// As the socket is now.
  explicit socket_state(const datagram_socket& socket);
  /// The same of one that this process has just bound, and nobody else had.
  static socket_state as_made(const datagram_socket& socket);
  /// As the socket would be if it had just been bound with these options; its address, groups and IPV6_V6ONLY are its
  /// own. Throws std::system_error.
  static socket_state as_asked(const datagram_socket& socket, socket_options options);

  /// What a passed socket has that new ones with these options have not, that harms who does not know of it, and that
  /// no socket unit sets: "UDP_SEGMENT = 1 instead of 0, ..."; empty if there is nothing. Throws std::system_error.
  static std::string odd_in(const datagram_socket& passed, const socket_options& options);

  /// restore() lets it be whatever it is.
  void leave_receive_buffer() noexcept { receive_buffer_ = 0; }

  const address& local() const noexcept { return local_; }
  /// Whether a new socket can be bound in its place.
  bool is_replaceable() const noexcept { return is_known_ && peer_.is_none() && !local_.is_none(); }
  /// Whether no other socket may be bound where this one is, unless somebody sets SO_REUSEPORT or SO_REUSEADDR.
  bool has_port_alone() const noexcept { return is_known_ && family_ != AF_UNIX && !is_shareable_; }
  /// Looks at the socket, and makes it as it was where that is possible. None of it waits or sends anything.
  std::vector<change> restore(int fd, sharers who) const;
  /// To call before restore(): the interfaces that it stands on may have been deleted and made again, which is nobody's
  /// doing who has the socket. Mends that, and returns what is new.
  std::vector<interface_change> follow_interfaces(int fd) { return footing_.mend_and_read_changes(fd); }
  /// What only a new socket mends of that; empty if there is nothing.
  std::string refused_device() const { return footing_.refused_device(); }
  /// What is not as it was and is left to programs: "IP_TTL = 1 instead of 64, ..."; empty if all is.
  std::string left_to_programs(int fd) const;
  /// The same of options that others are harmed by who do not know of them, one by one.
  std::vector<std::string> harmful_to_programs(int fd) const;
  /// No program has the socket: what is left to them is as it was, O_NONBLOCK and timeouts included.
  void forget_programs(int fd) const noexcept;
  /// A buffer that only root could make so large is smaller in a socket that stands in for it.
  void be_content_with_buffers(int fd) noexcept;
  /// Options of a socket that is to stand in for it: as those of the pool, but for those that must be set before bind.
  socket_options for_new_socket(socket_options options) const;

 private:
  struct filter {
    bool is_extended = false;  // eBPF, which cannot be read
    std::vector<sock_filter> program = {};
    bool operator==(const filter& other) const noexcept;
  };

  socket_state(const datagram_socket& socket, int like);
  std::vector<std::string> changed_by_programs(int fd, bool harmful_alone) const;
  static filter filter_of(int fd);
  std::optional<change> restore_peer(int fd) const;
  std::optional<change> look_for_shutdown(int fd) const;
  std::optional<change> restore_filter(int fd) const;
  std::optional<change> restore_device(int fd) const;
  std::optional<change> restore_buffer(int fd, int option, int force, int size) const;
  void restore_options(int fd, sharers who, std::vector<change>& changes) const;
  void restore_headers(int fd, std::vector<change>& changes) const;
  void restore_memberships(int fd, std::vector<change>& changes) const;
  std::optional<change> look_at_v6only(int fd) const;
  void overwrite_unreadable(int fd, sharers who) const noexcept;
  void empty_error_queue(int fd) const noexcept;
  static bool has_header(int fd, int level, int option) noexcept;
  long try_to_send(int fd, const address& to) const noexcept;

  bool is_known_ = false;
  int family_;
  address local_, peer_;
  filter filter_;
  socket_footing footing_;
  int receive_buffer_ = 0, send_buffer_ = 0;
  bool is_v6only_ = false;
  bool is_shareable_ = false;
  bool has_ip_options_ = false;
  std::array<bool, 4> has_headers_ = {};
  bool is_locked_ = false;
  bool is_nonblocking_ = false;
  timeval receive_timeout_ = {}, send_timeout_ = {};
  bool is_pools_own_ = false;                // what cannot be read was never set
  std::vector<std::optional<int>> options_;  // as the table has them
};

}  // namespace udppump::detail
