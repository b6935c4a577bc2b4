#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "pool/pool_log.hpp"
#include "pool/pool_sockets.hpp"
#include "socket/port_table.hpp"
#include "socket/socket_state.hpp"
#include "sys/file_identity.hpp"

namespace udppump::detail {

/// Finds what a worker did to a shared socket so that nobody answers any more, or that an interface went from under it,
/// and mends it: undoes it, or else binds a new socket in its place. Looks every five seconds, and soon after a worker
/// died. In the parent.
class socket_check {
 public:
  using clock = std::chrono::steady_clock;

  /// The sockets are of pool_sockets::open(); what is not as it should be is mended now, or at the first look. All
  /// outlive this object.
  socket_check(pool_sockets& sockets, socket_state::sharers who, const socket_options& options, const pool_log& log);

  /// How large the receive buffers are is somebody else's affair.
  void leave_receive_buffers() noexcept { leaves_receive_buffers_ = true; }

  /// When to call look().
  clock::time_point next() const noexcept { return next_; }
  /// A worker died, or something else gives cause.
  void look_soon(clock::time_point now) noexcept;
  /// Whether a socket is a new one, which only workers that are started from now on have. Programs may have themselves
  /// signalled by a socket: `sessions` are theirs.
  bool look(clock::time_point now, std::span<const pid_t> sessions = {});
  /// Whether a look is worth its time although none is due.
  bool may_look(clock::time_point now) const noexcept;
  /// A process has the sockets that may take over, and may have others of their ports by now, and have set
  /// SO_REUSEPORT for that: no look before a while, but one all half a minute. Whether there is none.
  bool postpone(clock::time_point now) noexcept;
  /// This pool serves on, and not the one before it.
  void begin_to_sort() noexcept { sockets_.begin_to_sort(); }
  /// No worker lives. What programs set for themselves, and for each other, is as it was at first.
  void be_as_at_first(clock::time_point now);

 private:
  /// Lines of a kind: so many in a minute.
  struct allowance {
    clock::time_point from = {};
    unsigned taken = 0;
    bool take(clock::time_point now) noexcept;
  };
  struct watched {
    socket_state state;
    std::string name;  // for the log
    allowance changes = {}, neighbours = {}, interfaces = {};
    unsigned untold = 0;                    // changes since the last that was told
    std::vector<std::string> refused = {};  // changes that could not be undone, and were told
    std::vector<std::string> left = {};     // options that were left to programs, and were told
    clock::time_point binds_from = {};
    std::chrono::seconds pause = {};
    /// Of a Unix socket: device and inode of its path; none if that is not to be seen.
    std::optional<file_identity> file = {};
    std::vector<ino_t> beside = {};  // sockets of others that were told and are still there, in order
  };

  void tell(watched& one, const socket_state::change& what, clock::time_point now);
  void tell_of_habit(const watched& one, const socket_state::change& what);
  void follow_interfaces(std::size_t at, clock::time_point now);
  bool bind_anew(std::size_t at, const std::string& why, bool is_workers_doing, clock::time_point now);
  void replace(std::size_t first, std::size_t end) const;
  bool is_sorted_again(std::size_t at) const;
  bool has_port_alone(const watched& one) const noexcept;
  void look_beside(clock::time_point now);
  void tell_of(std::span<const listed_socket> beside, const address& local) const;
  void tell_what_is_left(std::size_t at) const;
  void tell_what_harms(std::size_t at);
  void take_signal_back(std::size_t at, std::span<const pid_t> sessions, clock::time_point now);

  pool_sockets& sockets_;
  const socket_state::sharers who_;
  const socket_options& options_;
  const pool_log& log_;
  bool leaves_receive_buffers_ = false;
  bool has_told_of_habit_ = false;
  std::vector<watched> watched_;
  std::vector<ino_t> former_;  // that were replaced; workers may have them still
  clock::time_point next_, looked_;
};

}  // namespace udppump::detail
