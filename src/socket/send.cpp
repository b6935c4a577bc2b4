#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <cstdint>

#include "address/raw_address.hpp"
#include "socket/control_message.hpp"
#include "socket/receive.hpp"
#include "sys/failure.hpp"
#include "sys/sys.hpp"
#include "udppump/datagram_socket.hpp"

namespace udppump {

using detail::code_of;

namespace {

/// Longest burst handed to the kernel at once; UDP_SEGMENT takes 64 (UDP_MAX_SEGMENTS before Linux 6.9) and 65,535
/// bytes.
constexpr std::size_t most_segments = 64;
constexpr std::size_t most_segmented_bytes = 65'507;
constexpr std::size_t most_parts = 1024;  // UIO_MAXIOV

bool is_ip(int family) noexcept { return family == AF_INET || family == AF_INET6; }

/// The kernel keeps an ICMP error at the socket and fails the next call with it, whomever that is for (udp(7);
/// SO_ERROR): asking again gets this datagram's own answer. Another worker that reads the socket's error queue
/// meanwhile puts the next error there (sock_dequeue_err_skb(), net/core/skbuff.c), so once more may not be enough.
/// Without a destination the error is the connected peer's, and sending once more would only hide it, unless
/// `queue_tells` of it (IP_RECVERR).
bool is_worth_repeating(long error, const msghdr& message, bool queue_tells, int repeated) noexcept {
  constexpr int most = 4;
  return (message.msg_name != nullptr || queue_tells) && detail::is_from_icmp(error) &&
         repeated < (error == -EMSGSIZE ? 1 : most);
}

ssize_t send_once(int fd, const msghdr& message) noexcept {
  constexpr int flags = MSG_DONTWAIT | MSG_NOSIGNAL;
  if (message.msg_iovlen != 1 || message.msg_controllen != 0) return sys::sendmsg(fd, &message, flags);
  // The kernel has no structures to copy in first: a send costs 8% less.
  return sys::sendto(fd, message.msg_iov->iov_base, message.msg_iov->iov_len, flags,
                     static_cast<const sockaddr*>(message.msg_name), message.msg_namelen);
}

ssize_t send_message(int fd, const msghdr& message, bool queue_tells) noexcept {
  for (int repeated = 0;; ++repeated) {
    const ssize_t sent = send_once(fd, message);
    if (sent >= 0 || !is_worth_repeating(sent, message, queue_tells, repeated)) return sent;
  }
}

/// One datagram per element; a short count is followed by a call for the rest, so that an error is the error of the
/// first that was not sent (sendmmsg(2)).
long send_messages(int fd, mmsghdr* messages, std::size_t count, bool queue_tells) noexcept {
  int repeated = 0;
  for (std::size_t sent = 0; sent < count;) {
    const int done =
        sys::sendmmsg(fd, messages + sent, static_cast<unsigned>(count - sent), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (done > 0) {
      sent += static_cast<std::size_t>(done);
      repeated = 0;
    } else if (done < 0 && is_worth_repeating(done, messages[sent].msg_hdr, queue_tells, repeated)) {
      ++repeated;
    } else {
      return done < 0 ? done : -EAGAIN;
    }
  }
  return 0;
}

/// Walks a payload in several parts and hands out the next `size` bytes of it, as parts again.
class part_cursor {
 public:
  explicit part_cursor(std::span<const iovec> parts) noexcept : parts_{parts} {}

  /// Fills `into` and returns how many parts were used; 0 if `into` is too small or nothing is left.
  std::size_t next(std::size_t size, std::span<iovec> into) noexcept {
    std::size_t used = 0;
    while (size > 0 && at_ < parts_.size()) {
      const iovec& part = parts_[at_];
      const std::size_t take = std::min(size, part.iov_len - offset_);
      if (take > 0) {
        if (used == into.size()) return 0;
        into[used++] = {static_cast<std::byte*>(part.iov_base) + offset_, take};
      }
      size -= take;
      offset_ += take;
      if (offset_ == part.iov_len) {
        ++at_;
        offset_ = 0;
      }
    }
    return used;
  }

 private:
  std::span<const iovec> parts_;
  std::size_t at_ = 0;
  std::size_t offset_ = 0;
};

/// The datagrams of a segmented payload one by one, for kernels and devices that cannot cut it themselves.
long send_one_by_one(int fd, const msghdr& like, std::span<const iovec> parts, std::size_t total, std::size_t segment,
                     bool queue_tells) noexcept {
  part_cursor cursor{parts};
  const std::size_t count = (total + segment - 1) / segment;
  std::array<iovec, most_parts> pieces;  // enough for any one segment
  for (std::size_t done = 0; done < count;) {
    std::size_t batch = 0;
    std::size_t used = 0;
    std::array<mmsghdr, most_segments> messages;
    for (; batch < messages.size() && done + batch < count; ++batch) {
      const part_cursor before = cursor;
      const std::size_t taken = cursor.next(segment, std::span{pieces}.subspan(used));
      if (taken == 0) {
        cursor = before;
        break;
      }
      msghdr message = like;
      message.msg_iov = pieces.data() + used;
      message.msg_iovlen = taken;
      used += taken;
      messages[batch] = {message, 0};
    }
    const long sent = send_messages(fd, messages.data(), batch, queue_tells);
    if (sent < 0) return sent;
    done += batch;
  }
  return 0;
}

/// Whether a socket of this family can send from that address.
bool can_leave_from(const address& local, int family) noexcept {
  if (local.is_none()) return true;
  if (family == AF_INET) return local.is_ipv4() || local.is_v4_mapped();
  return family == AF_INET6 && (local.is_ipv6() || local.is_ipv4());
}

/// IPv4 takes the address that goes along with an interface for the source, even if it is none: the socket's own is
/// repeated, and "any" must be IPv4's (net/ipv4/ip_sockglue.c: ip_cmsg_send).
send_source own_source(const datagram_socket& socket, unsigned interface, const address& to) noexcept {
  send_source source{.interface_index = interface};
  const address own = socket.local().unmapped();
  if (own.is_ipv4()) source.local = own;
  if (own.is_ipv6() && !to.is_none()) source.local = detail::address_of(detail::raw_ipv4({}));
  return source;
}

}  // namespace

std::error_code datagram_socket::counted(long sent) const noexcept {
  if (sent >= 0) return {};
  send_errors_.value.fetch_add(1, std::memory_order_relaxed);
  return code_of(sent);
}

std::error_code datagram_socket::send_to(payload_view payload, const address& to,
                                         const send_options& options) const noexcept {
  return send_from(options.source, payload, to, options);
}

std::error_code datagram_socket::send_to(std::span<const iovec> parts, const address& to,
                                         const send_options& options) const noexcept {
  return counted(send_parts(parts, to, options.source, options));
}

std::error_code datagram_socket::send_from(const send_source& source, payload_view payload, const address& to,
                                           const send_options& options) const noexcept {
  const iovec part{const_cast<std::byte*>(payload.data()), payload.size()};
  return counted(send_parts(std::span{&part, 1}, to, source, options));
}

long datagram_socket::send_parts(std::span<const iovec> parts, const address& to, const send_source& source,
                                 const send_options& options) const noexcept {
  if (parts.size() > most_parts) return -EMSGSIZE;
  if (!can_leave_from(source.local, family_)) return -EAFNOSUPPORT;
  const bool is_ipv4 = to.is_ipv4() || to.is_v4_mapped();

  msghdr message{};
  sockaddr_in6 mapped;
  if (family_ == AF_INET6 && to.is_ipv4()) {
    mapped = detail::raw_ipv6(detail::ipv6_host(to), 0, to.port());
    message.msg_name = &mapped;
    message.msg_namelen = sizeof mapped;
  } else if (!to.is_none()) {
    message.msg_name = const_cast<sockaddr*>(to.data());
    message.msg_namelen = to.size();
  }
  message.msg_iov = const_cast<iovec*>(parts.data());
  message.msg_iovlen = parts.size();

  detail::control_builder control;
  if (source.local.is_none() && source.interface_index != 0 && (to.is_none() || is_ipv4)) {
    control.add_source(own_source(*this, source.interface_index, to), family_);
  } else {
    control.add_source(source, family_);
  }
  if (options.ecn && is_ip(family_)) {
    // The connected peer of an IPv6 socket may be IPv4; each protocol passes over what is the other's.
    const bool unknown = family_ == AF_INET6 && to.is_none();
    const bool as_ipv4 = family_ == AF_INET || is_ipv4;
    const int mark = static_cast<int>(*options.ecn);
    if (as_ipv4 || unknown) control.add_traffic_class((tos_ & 0xfc) | mark, AF_INET);
    if (!as_ipv4 || unknown) control.add_traffic_class((traffic_class_ & 0xfc) | mark, AF_INET6);
  }

  std::size_t total = 0;
  if (options.segment_size != 0) {
    for (const iovec& part : parts) total += part.iov_len;
  }
  if (options.segment_size == 0 || total <= options.segment_size) {
    control.attach(message);
    return send_message(fd(), message, control_.icmp_errors);
  }

  const std::size_t segments = (total + options.segment_size - 1) / options.segment_size;
  if (udp_ && segments <= most_segments && total <= most_segmented_bytes) {
    detail::control_builder cut = control;
    cut.add_segment_size(static_cast<std::uint16_t>(options.segment_size));
    cut.attach(message);
    const ssize_t sent = send_message(fd(), message, control_.icmp_errors);
    // EIO: the device cannot checksum. EINVAL, since Linux 6.14 EMSGSIZE (commit 235174b): a segment larger than the
    // path's MTU, which the kernel fragments when it is sent by itself.
    if (sent != -EIO && sent != -EINVAL && sent != -EMSGSIZE) return sent;
  }
  control.attach(message);
  return send_one_by_one(fd(), message, parts, total, options.segment_size, control_.icmp_errors);
}

}  // namespace udppump
