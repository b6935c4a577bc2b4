#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <system_error>

#include "socket/control_message.hpp"
#include "udppump/datagram_socket.hpp"
#include "udppump/export.hpp"

namespace udppump::detail {

/// What receiving told about a datagram, but for its sender. Meant to be used again and again.
struct received {
  /// If the socket is plain(), only segment_size holds: 0.
  received_control told;
  /// Bytes as it was sent; more than the buffer holds if it was cut.
  std::size_t real_size = 0;
  /// The control data was cut: something is missing in `told`.
  bool control_cut = false;
};

/// An entry of a socket's error queue.
struct queued_error {
  std::error_code code;
  /// Whom the datagram was for that could not be delivered.
  address peer;
};

/// A message header that receives into all of these, which must outlive it.
msghdr message_into(sockaddr* from, iovec& part, std::span<std::byte> control) noexcept;

/// Whether a receive failed with what an ICMP message said of an earlier send (udp(7); net/ipv4/icmp.c,
/// icmp_err_convert; net/ipv6/icmp.c, icmpv6_err_convert). The error queue has the same error, with its peer.
bool is_from_icmp(long error) noexcept;

/// What a socket's receive queue takes of memory, in bytes as the kernel counts them (sock_diag(7)).
struct queue_memory {
  std::size_t fill = 0, limit = 0;
  /// Datagrams dropped since the socket was made, modulo 2^32.
  std::uint32_t drops = 0;
};
/// Nothing before Linux 4.12 (SO_MEMINFO), and of what has no such memory.
UDPPUMP_EXPORT std::optional<queue_memory> queue_memory_of(int fd) noexcept;  // exported for udppump::pool

/// The datagram that waits for longest.
struct queue_head {
  std::chrono::sys_time<std::chrono::nanoseconds> stamp;
  address from;
  std::size_t size = 0;
  /// Of its first bytes.
  std::size_t digest = 0;

  friend bool operator==(const queue_head&, const queue_head&) = default;
};

/// All ways to take something out of a socket, which must outlive this. None of them blocks or throws; all may be used
/// by any thread, and by any process that shares the socket.
class UDPPUMP_EXPORT receiver {  // exported for udppump::pool
 public:
  explicit receiver(const datagram_socket& socket) noexcept;

  /// Whether no control data comes along with the socket's datagrams.
  bool plain() const noexcept { return plain_; }

  /// Takes one datagram: 0, or -errno; -EAGAIN if none waits. `from` becomes its sender: IPv4 on a dual-stack socket as
  /// plain IPv4; none for an unnamed Unix peer. If `with_time`, all of `told` holds, even if the socket is plain().
  long receive(std::span<std::byte> buffer, address& from, received& into, bool with_time = false) const noexcept;
  /// The same into a slot that outlives this process. Its header was made by message_into(); the kernel writes the
  /// length to it.
  long receive_into_slot(mmsghdr& slot, address& from, received& into) const noexcept;
  /// Takes as many as there are and as there is room for, each into a header of its own, made by message_into(); the
  /// kernel writes the lengths to them. How many, at least 1; or -errno.
  long receive_many(std::span<mmsghdr> into) const noexcept;
  /// Reads what receive_many() filled in.
  void read(const mmsghdr& slot, address& from, received& into) const noexcept;
  /// Reads a slot that another process has received into, after message_into() pointed `message` at what is in it.
  void read_slot(const msghdr& message, std::size_t size, address& from, received& into) const noexcept;

  /// Has the kernel note from now on when each datagram comes: 0, or -errno. Not by SO_TIMESTAMPNS, so that whoever
  /// gets the socket can tell that nobody asked for receive_time.
  int note_times() const noexcept;
  /// The stamp of the oldest datagram that waits, which it leaves there; nothing if none does, or it has none.
  std::optional<std::chrono::sys_time<std::chrono::nanoseconds>> oldest() const noexcept;
  /// The same with what else tells it from the next one: those that were sent in one go (UDP_SEGMENT) have one stamp.
  std::optional<queue_head> head() const noexcept;

  /// The oldest ICMP error in the queue (IP_RECVERR), which it leaves; nothing if there is none.
  std::optional<queued_error> take_queued_error() const noexcept;
  /// Datagrams that the kernel dropped since the socket was made, modulo 2^32.
  std::uint32_t drops() const noexcept;
  /// By shutdown(SHUT_RD), which also other processes that share the socket can do (shutdown(2), poll(2)).
  bool is_shut_down() const noexcept;

 private:
  void note(const msghdr& message, std::size_t size, received_by whom, address& from, received& into) const noexcept;
  static void note_plain(std::size_t size, address& from, received& into) noexcept;

  const datagram_socket& socket_;
  const bool plain_;
  std::uint16_t port_ = 0;  // the socket's own; control data tells only the host that was asked
};

}  // namespace udppump::detail
