#pragma once

#include <sys/uio.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "udppump/address.hpp"
#include "udppump/export.hpp"

namespace udppump {

using bytes_view = std::span<const std::byte>;

/// The bytes of a text, without a copy.
inline bytes_view as_bytes(std::string_view text) noexcept {
  return std::as_bytes(std::span{text.data(), text.size()});
}

/// Explicit congestion notification, the low two bits of TOS and traffic class (RFC 3168).
enum class ecn : std::uint8_t { not_ect = 0, ect1 = 1, ect0 = 2, ce = 3 };

enum class setting : std::uint8_t { automatic, on, off };

struct multicast_membership {
  /// The group, IPv4 or IPv6; its port is ignored.
  address group;
  /// Name of the interface to join on, such as "eth0"; empty: the kernel's choice (ip(7), ipv6(7)).
  std::string interface = {};
};

/// Everything is set before bind, so that the first datagram already finds it in force.
struct socket_options {
  /// SO_RCVBUF in bytes of payload asked for; 0 keeps the kernel's default. See datagram_socket::receive_buffer().
  std::size_t receive_buffer = 0;
  /// SO_SNDBUF in the same way.
  std::size_t send_buffer = 0;
  /// SO_REUSEPORT: sockets of the same user share the port, and the kernel hashes each flow onto one of them. Workers
  /// that share one socket do not need it.
  bool reuse_port = false;
  /// IPV6_V6ONLY: automatic is off for the wildcard "[::]", which then takes IPv4 too, and the kernel's choice
  /// elsewhere.
  setting v6only = setting::automatic;
  /// Learn which local address and interface each datagram came to (IP_PKTINFO, IPV6_RECVPKTINFO); a reply then leaves
  /// from there. Automatic: on where the socket is bound to a wildcard.
  setting local_address = setting::automatic;
  /// SO_TIMESTAMPNS: the kernel's receive time with each datagram (wall clock, socket(7)).
  bool receive_time = false;
  /// Learn the ECN codepoint of each datagram (IP_RECVTOS, IPV6_RECVTCLASS).
  bool receive_ecn = false;
  /// UDP_GRO: let the kernel join datagrams of one sender; the pump splits them again (udp(7), Linux 5.0). Up to 64 are
  /// then taken by one read and handed out without a look at budget or max_in_flight, which are checked between reads.
  bool receive_offload = false;
  /// IP_RECVERR, IPV6_RECVERR: learn of ICMP errors, with the peer each belongs to.
  bool icmp_errors = false;
  /// TOS and traffic class of what is sent, 0 to 255.
  std::optional<int> tos = {};
  /// SO_BROADCAST.
  bool broadcast = false;
  /// SO_BINDTODEVICE: only datagrams of this interface; empty: all.
  std::string device = {};
  std::vector<multicast_membership> join = {};
};

/// What the kernel was asked for and what it gave, in bytes of payload (half of what getsockopt says: socket(7)).
struct UDPPUMP_EXPORT buffer_size {
  std::size_t asked = 0;
  std::size_t granted = 0;
  /// Empty where the wish was met, else cause and cure in one line.
  std::string shortfall() const;
  /// The option and the sysctl that limits it; for shortfall().
  const char* limit = "net.core.rmem_max";
};

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
  /// 0 sends the payload as one. Where the kernel cannot, the same datagrams go out one by one (sendmmsg).
  std::size_t segment_size = 0;
  /// The rest of TOS or traffic class stays as it was when the socket was set up.
  std::optional<ecn> codepoint = {};
};

/// Owns the descriptor of a datagram socket.
///
/// Sending is safe from any thread and from any process that inherited the socket; everything else belongs to the
/// thread that made it. Moving is for handing ownership around before a pump refers to the socket, not after.
class UDPPUMP_EXPORT datagram_socket {
 public:
  /// A socket bound to `local`, with port 0 to a free port. SO_REUSEADDR is never set: on UDP it would let another
  /// process take the port over. A Unix path left behind by a process that is gone is replaced.
  /// Throws std::system_error that names the call, the address and, where one is known, the cure.
  static datagram_socket bind(const address& local, const socket_options& options = {});
  /// A socket connected to `peer`: it receives from there only, and send() goes there.
  static datagram_socket connect(const address& peer, const socket_options& options = {});
  /// Takes ownership of a datagram descriptor made elsewhere: UDP, Unix, socketpair, netlink, raw, packet. O_NONBLOCK
  /// is left as it is. Options that ask for nothing leave the socket as it is, but local_address, whose automatic
  /// applies. Throws std::system_error where `fd` is no datagram socket; the descriptor then still belongs to the
  /// caller.
  static datagram_socket adopt(int fd, const socket_options& options = {});

  datagram_socket(datagram_socket&& other) noexcept;
  datagram_socket& operator=(datagram_socket&& other) noexcept;
  /// Closes the descriptor. Other processes that hold the same socket go on with it.
  ~datagram_socket();

  /// The descriptor, still owned by this object; -1 after release() or a move.
  int fd() const noexcept { return fd_; }
  /// Gives the descriptor away; this object is then empty.
  [[nodiscard]] int release() noexcept;

  /// AF_INET, AF_INET6, AF_UNIX...
  int family() const noexcept { return family_; }
  /// The address bound to, with the port that was chosen; none where the socket is gone.
  address local() const noexcept;
  /// The address connected to; none where not connected.
  address peer() const noexcept;

  const buffer_size& receive_buffer() const noexcept { return receive_buffer_; }
  const buffer_size& send_buffer() const noexcept { return send_buffer_; }

  /// Which control data the kernel sends along with each datagram; read back from the socket itself.
  struct control_data {
    bool local_address = false, receive_time = false, ecn = false, segments = false, icmp_errors = false;
    bool any() const noexcept { return local_address || receive_time || ecn || segments; }
  };
  const control_data& control() const noexcept { return control_; }

  /// Send one datagram, or several with segment_size. Never blocks: a full buffer is EAGAIN or ENOBUFS. An IPv4
  /// destination on an IPv6 socket is mapped. A send that fails with another peer's ICMP error (udp(7)) is tried again
  /// once. `to` none means the connected peer. Errors are returned and counted in send_errors().
  [[nodiscard]] std::error_code send_to(bytes_view payload, const address& to,
                                        const send_options& options = {}) const noexcept;
  /// The same for a payload in several parts, sent as one datagram; at most 1024 parts (UIO_MAXIOV).
  [[nodiscard]] std::error_code send_to(std::span<const iovec> parts, const address& to,
                                        const send_options& options = {}) const noexcept;
  /// To the connected peer.
  [[nodiscard]] std::error_code send(bytes_view payload, const send_options& options = {}) const noexcept {
    return send_to(payload, address{}, options);
  }
  [[nodiscard]] std::error_code send(std::string_view payload, const send_options& options = {}) const noexcept {
    return send(as_bytes(payload), options);
  }
  [[nodiscard]] std::error_code send_to(std::string_view payload, const address& to,
                                        const send_options& options = {}) const noexcept {
    return send_to(as_bytes(payload), to, options);
  }

  /// Calls of send that returned an error, by this process, since the object was made. Any thread.
  std::uint64_t send_errors() const noexcept { return send_errors_.load(std::memory_order_relaxed); }

  /// 64 bytes, zeros at first, shared with the workers that share the socket: threads, and processes forked after it
  /// was made. Its pumps keep their notes to each other here; a program leaves it alone. Null if there was no memory.
  void* shared_line() const noexcept { return shared_line_.get(); }

 private:
  datagram_socket() noexcept = default;
  void set_options(const address& local, const socket_options& options);
  void read_back();
  long send_parts(std::span<const iovec> parts, const address& to, const send_options& options) const noexcept;

  int fd_ = -1;
  int family_ = AF_UNSPEC;
  bool udp_ = false;
  int tos_ = 0;            // of what is sent: kept where a send sets the codepoint only
  int traffic_class_ = 0;  // the same of IPv6
  control_data control_;
  buffer_size receive_buffer_;
  buffer_size send_buffer_{.limit = "net.core.wmem_max"};
  mutable std::atomic<std::uint64_t> send_errors_{0};
  std::shared_ptr<void> shared_line_;
};

}  // namespace udppump
