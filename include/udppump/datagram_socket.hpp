#pragma once

#include <sys/uio.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "udppump/address.hpp"
#include "udppump/descriptor.hpp"
#include "udppump/export.hpp"
#include "udppump/payload_view.hpp"
#include "udppump/socket_options.hpp"

namespace udppump {

namespace detail {
class pump_core;
struct lane_mark;
}  // namespace detail

/// Explicit congestion notification, the low two bits of TOS and traffic class (RFC 3168).
enum class ecn : std::uint8_t { not_ect = 0, ect1 = 1, ect0 = 2, ce = 3 };

/// Where a datagram is to leave from; nothing set means the kernel's choice.
struct send_source {
  /// Local address; its port is ignored. None: the kernel's choice.
  address local = {};
  /// Interface index; 0: the kernel's choice.
  unsigned interface_index = 0;
};

struct send_options {
  send_source source = {};
  /// Bytes of each datagram when the payload is to be cut into several (UDP_SEGMENT, udp(7)); the last may be shorter.
  /// 0 sends the payload as one. If the kernel cannot, the same datagrams go out one by one (sendmmsg).
  std::size_t segment_size = 0;
  /// The rest of TOS or traffic class stays as it was when the socket was set up.
  std::optional<udppump::ecn> ecn = {};
};

/// What datagram_socket::receive() took out of a socket.
struct UDPPUMP_EXPORT received_datagram {
  /// Why there is no datagram. EAGAIN: none came in time. Any other code with a `from`: an ICMP error
  /// (socket_options::icmp_errors) about a datagram that was sent to `from`.
  std::error_code error;
  /// What was received, in the caller's buffer; empty for an empty datagram.
  std::span<std::byte> payload;
  /// Size as it was sent, in bytes; larger than payload.size() if the buffer was too small.
  std::size_t real_size = 0;
  /// As in a datagram that a pump delivers.
  address from, to;
  unsigned interface_index = 0;
  send_source source;
  std::optional<std::chrono::sys_time<std::chrono::nanoseconds>> receive_time;
  udppump::ecn ecn = udppump::ecn::not_ect;
  /// With socket_options::receive_offload: the payload is several datagrams of this size, the last maybe shorter. 0: it
  /// is one.
  std::size_t segment_size = 0;
  /// The control data did not fit (MSG_CTRUNC): `to`, `receive_time` or `ecn` may be missing.
  bool control_truncated = false;

  explicit operator bool() const noexcept { return !error; }
  /// Time since receive_time, never negative though the wall clock may step; nothing if there is no receive_time.
  std::optional<std::chrono::nanoseconds> age() const noexcept;
  bool truncated() const noexcept { return real_size > payload.size(); }
  std::string_view text() const noexcept { return {reinterpret_cast<const char*>(payload.data()), payload.size()}; }
};

/// Owns the descriptor of a datagram socket.
///
/// Sending and receive() are safe from any thread and from any process that inherited the socket; everything else
/// belongs to the thread that made it. Moving is for handing ownership around before a pump refers to the socket, not
/// after.
class UDPPUMP_EXPORT datagram_socket {
 public:
  /// A socket bound to `local`, with port 0 to a free port. SO_REUSEADDR is never set: on UDP it would let another
  /// process take the port over. A Unix path left behind by a process that is gone is replaced.
  /// If a port or path is taken and no process that can be seen has it, bind() tries again for 300 ms: the kernel may
  /// still be closing the io_uring of a process that has just ended. Throws std::system_error that names the
  /// call, the address and, if one is known, the cure.
  static datagram_socket bind(const address& local, const socket_options& options = {});
  /// A socket connected to `peer`: it receives from there only, and send() goes there.
  static datagram_socket connect(const address& peer, const socket_options& options = {});
  /// Takes ownership of a datagram descriptor made elsewhere: UDP, Unix, socketpair, netlink, raw, packet. O_NONBLOCK
  /// stays as it is. Options that are not set change nothing, except local_address: its default, `automatic`, is
  /// applied. Throws std::system_error if `fd` is no datagram socket; the descriptor then still belongs to the
  /// caller.
  static datagram_socket adopt(int fd, const socket_options& options = {});

  datagram_socket(datagram_socket&& other) noexcept = default;
  datagram_socket& operator=(datagram_socket&& other) noexcept = default;
  /// Closes the descriptor. Other processes that hold the same socket go on with it.
  ~datagram_socket() = default;

  /// The descriptor, still owned by this object; -1 after release() or a move.
  int fd() const noexcept { return fd_.fd(); }
  /// Gives the descriptor away; this object is then empty.
  [[nodiscard]] int release() noexcept { return fd_.release(); }

  /// AF_INET, AF_INET6, AF_UNIX...
  int family() const noexcept { return family_; }
  /// The address bound to, with the port that was chosen; none if the socket is gone.
  address local() const noexcept;
  /// The address connected to; none if not connected.
  address peer() const noexcept;

  const buffer_size& receive_buffer() const noexcept { return receive_buffer_; }
  const buffer_size& send_buffer() const noexcept { return send_buffer_; }

  /// Which control data the kernel sends along with each datagram; read back from the socket itself.
  struct control_data {
    bool local_address = false, receive_time = false, ecn = false, segments = false, icmp_errors = false;
    bool any() const noexcept { return local_address || receive_time || ecn || segments; }
  };
  const control_data& control() const noexcept { return control_; }

  /// Which of the lanes of its port it is, from 0 on (lanes.hpp); 0 without lanes.
  std::size_t lane() const noexcept { return lane_; }

  /// Takes one datagram into `buffer`, or waits for one up to `wait`, but not longer than a year; unless asked to, it
  /// does not wait. A signal does not end the wait. For clients and tests: a server serves the socket with a pump
  /// instead, and no socket has both. EAGAIN: nothing came. ESHUTDOWN, only after a wait: the socket was shut down.
  [[nodiscard]] received_datagram receive(std::span<std::byte> buffer,
                                          std::chrono::milliseconds wait = std::chrono::milliseconds{0}) const noexcept;

  /// Send one datagram, or several with segment_size. Never blocks: a full buffer is EAGAIN or ENOBUFS. An IPv4
  /// destination on an IPv6 socket is mapped. A send that fails with another peer's ICMP error (udp(7)) is tried again
  /// once. `to` none means the connected peer. Errors are returned and counted in send_errors().
  [[nodiscard]] std::error_code send_to(payload_view payload, const address& to,
                                        const send_options& options = {}) const noexcept;
  /// The same for a payload in several parts, sent as one datagram; at most 1024 parts (UIO_MAXIOV).
  [[nodiscard]] std::error_code send_to(std::span<const iovec> parts, const address& to,
                                        const send_options& options = {}) const noexcept;
  /// The same from `source`, which stands in for options.source.
  [[nodiscard]] std::error_code send_from(const send_source& source, payload_view payload, const address& to,
                                          const send_options& options = {}) const noexcept;
  /// To the connected peer.
  [[nodiscard]] std::error_code send(payload_view payload, const send_options& options = {}) const noexcept {
    return send_to(payload, address{}, options);
  }

  /// Calls of send that returned an error, by this process, since the object was made. Any thread.
  std::uint64_t send_errors() const noexcept { return send_errors_.value.load(std::memory_order_relaxed); }

  /// The interface it is bound to (SO_BINDTODEVICE); empty: none.
  const std::string& device() const noexcept { return device_; }
  /// What socket_options::join asked for; the interface's name is filled in if the group's address told it.
  const std::vector<multicast_membership>& memberships() const noexcept { return memberships_; }

 private:
  friend class detail::pump_core;
  friend struct detail::lane_mark;
  /// 64 bytes, zeros at first, shared with the workers that share the socket: threads, and processes forked after it
  /// was made. Its pumps keep their notes to each other here. Null if there was no memory.
  void* shared_line() const noexcept { return shared_line_.get(); }

  /// An atomic that moves with its socket.
  struct counter {
    std::atomic<std::uint64_t> value{0};
    counter() noexcept = default;
    counter(counter&& other) noexcept : value{other.value.load(std::memory_order_relaxed)} {}
    counter& operator=(counter&& other) noexcept {
      value.store(other.value.load(std::memory_order_relaxed), std::memory_order_relaxed);
      return *this;
    }
  };

  datagram_socket(detail::descriptor fd, int family) noexcept : fd_{std::move(fd)}, family_{family} {}
  static datagram_socket make(const address& for_whom);
  void set_options(const address& local, const socket_options& options);
  void read_back();
  std::error_code counted(long sent) const noexcept;
  long send_parts(std::span<const iovec> parts, const address& to, const send_source& source,
                  const send_options& options) const noexcept;

  detail::descriptor fd_;
  int family_ = AF_UNSPEC;
  bool udp_ = false;
  std::uint8_t lane_ = 0;
  int tos_ = 0;            // of what is sent: kept if a send sets ECN only
  int traffic_class_ = 0;  // the same of IPv6
  control_data control_;
  buffer_size receive_buffer_;
  buffer_size send_buffer_{.limit = "net.core.wmem_max"};
  std::string device_;
  std::vector<multicast_membership> memberships_;
  mutable counter send_errors_;
  std::shared_ptr<void> shared_line_;
};

}  // namespace udppump
