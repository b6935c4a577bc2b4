#include "socket/receive.hpp"

#include <linux/sock_diag.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <climits>
#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>

#include "address/raw_address.hpp"
#include "sys/failure.hpp"
#include "sys/sys.hpp"

namespace udppump {

namespace {

/// MSG_DONTWAIT and never O_NONBLOCK, which is shared with every process that has the socket. MSG_TRUNC: the real
/// length comes back (recv(2); udp, unix, netlink, packet and raw).
constexpr int receive_flags = MSG_DONTWAIT | MSG_TRUNC;
/// Entries of the error queue that are no error, taken in a row.
constexpr int most_passed_over = 64;

}  // namespace

namespace detail {

msghdr message_into(sockaddr* from, iovec& part, std::span<std::byte> control) noexcept {
  msghdr message{};
  message.msg_name = from;
  message.msg_namelen = address::capacity;
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  return message;
}

bool is_from_icmp(long error) noexcept {
  switch (-error) {
    case ECONNREFUSED:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EHOSTDOWN:
    case ENONET:
    case ENOPROTOOPT:
    case EPROTO:
    case EOPNOTSUPP:
    case EMSGSIZE:
    case EACCES:
      return true;
    default:
      return false;
  }
}

std::optional<queue_memory> queue_memory_of(int fd) noexcept {
  std::uint32_t told[SK_MEMINFO_VARS] = {};
  if (sys::getsockopt(fd, SOL_SOCKET, SO_MEMINFO, told) < 0) return {};
  return queue_memory{told[SK_MEMINFO_RMEM_ALLOC], told[SK_MEMINFO_RCVBUF], told[SK_MEMINFO_DROPS]};
}

receiver::receiver(const datagram_socket& socket) noexcept : socket_{socket}, plain_{!socket.control().any()} {
  if (socket.control().local_address) port_ = socket.local().port();
}

long receiver::receive(std::span<std::byte> buffer, address& from, received& into, bool with_time) const noexcept {
  if (!plain_ || with_time) {
    alignas(cmsghdr) std::byte control[control_capacity];
    iovec part{buffer.data(), buffer.size()};
    msghdr message = message_into(raw_address::buffer(from), part, control);
    const ssize_t size = sys::recvmsg(socket_.fd(), &message, receive_flags | MSG_CMSG_CLOEXEC);
    if (size < 0) return size;
    note(message, static_cast<std::size_t>(size), received_by::this_process, from, into);
    return 0;
  }
  socklen_t from_size = address::capacity;
  const ssize_t size =
      sys::recvfrom(socket_.fd(), buffer.data(), buffer.size(), receive_flags, raw_address::buffer(from), &from_size);
  if (size < 0) return size;
  raw_address::resize(from, from_size);
  note_plain(static_cast<std::size_t>(size), from, into);
  return 0;
}

void receiver::note_plain(std::size_t size, address& from, received& into) noexcept {
  if (from.is_ipv6() && from.is_v4_mapped()) from = from.unmapped();
  into.told.segment_size = 0;
  into.control_cut = false;
  into.real_size = size;
}

long receiver::receive_into_slot(mmsghdr& slot, address& from, received& into) const noexcept {
  const int came = sys::recvmmsg_one(socket_.fd(), slot, receive_flags | MSG_CMSG_CLOEXEC);
  if (came < 0) return came;
  note(slot.msg_hdr, slot.msg_len, received_by::this_process, from, into);
  return 0;
}

long receiver::receive_many(std::span<mmsghdr> into) const noexcept {
  return sys::recvmmsg(socket_.fd(), into.data(), static_cast<unsigned>(into.size()), receive_flags | MSG_CMSG_CLOEXEC);
}

void receiver::read(const mmsghdr& slot, address& from, received& into) const noexcept {
  if (!plain_) return note(slot.msg_hdr, slot.msg_len, received_by::this_process, from, into);
  raw_address::copy(from, static_cast<const sockaddr*>(slot.msg_hdr.msg_name), slot.msg_hdr.msg_namelen);
  note_plain(slot.msg_len, from, into);
}

void receiver::read_slot(const msghdr& message, std::size_t size, address& from, received& into) const noexcept {
  note(message, size, received_by::another_process, from, into);
}

void receiver::note(const msghdr& message, std::size_t size, received_by whom, address& from,
                    received& into) const noexcept {
  if (message.msg_name == raw_address::buffer(from)) {
    raw_address::resize(from, message.msg_namelen);
  } else {
    from = address::from_sockaddr(static_cast<const sockaddr*>(message.msg_name), message.msg_namelen);
  }
  if (from.is_v4_mapped()) from = from.unmapped();
  parse_control(message, whom, into.told);
  raw_address::set_port(into.told.to, port_);
  into.real_size = size;
  into.control_cut = (message.msg_flags & MSG_CTRUNC) != 0;
}

int receiver::note_times() const noexcept { return sys::setsockopt(socket_.fd(), SOL_SOCKET, SO_TIMESTAMP, 1); }

std::optional<std::chrono::sys_time<std::chrono::nanoseconds>> receiver::oldest() const noexcept {
  const auto waiting = head();
  return waiting ? std::optional{waiting->stamp} : std::nullopt;
}

std::optional<queue_head> receiver::head() const noexcept {
  alignas(cmsghdr) std::byte control[control_capacity];
  std::array<std::byte, 256> payload;
  iovec part{payload.data(), payload.size()};
  queue_head waiting;
  msghdr message = message_into(raw_address::buffer(waiting.from), part, control);
  const ssize_t size = sys::recvmsg(socket_.fd(), &message, MSG_DONTWAIT | MSG_PEEK | MSG_TRUNC | MSG_CMSG_CLOEXEC);
  if (size < 0) return {};
  raw_address::resize(waiting.from, message.msg_namelen);
  received_control told;
  parse_control(message, received_by::this_process, told);  // a Unix peer's descriptors come here as well
  if (!told.time) return {};
  waiting.stamp = *told.time;
  waiting.size = static_cast<std::size_t>(size);
  const std::size_t seen = std::min(waiting.size, payload.size());
  waiting.digest = std::hash<std::string_view>{}({reinterpret_cast<const char*>(payload.data()), seen});
  return waiting;
}

std::optional<queued_error> receiver::take_queued_error() const noexcept {
  for (int passed_over = 0; passed_over < most_passed_over; ++passed_over) {
    alignas(cmsghdr) std::byte control[control_capacity];
    std::byte payload[1];  // of the datagram that failed; not wanted
    address peer;
    iovec part{payload, sizeof payload};
    msghdr message = message_into(raw_address::buffer(peer), part, control);
    if (sys::recvmsg(socket_.fd(), &message, MSG_DONTWAIT | MSG_ERRQUEUE) < 0) return {};
    raw_address::resize(peer, message.msg_namelen);
    // Without an error: a transmit time or a zero-copy notice that the program asked for by itself.
    if (const int error = parse_queued_error(message)) return queued_error{code_of(error), peer.unmapped()};
  }
  return {};
}

std::uint32_t receiver::drops() const noexcept { return queue_memory_of(socket_.fd()).value_or(queue_memory{}).drops; }

bool receiver::is_shut_down() const noexcept {
  pollfd one{.fd = socket_.fd(), .events = POLLRDHUP, .revents = 0};
  return sys::poll(&one, 1, 0) > 0 && (one.revents & POLLRDHUP) != 0;
}

}  // namespace detail

namespace {

using clock = std::chrono::steady_clock;

/// Keeps "for ever" from overflowing the clock.
constexpr std::chrono::milliseconds longest_wait = std::chrono::hours{24 * 365};

/// Until `socket` may be worth another look: 0; -EAGAIN when the time is over.
long wait_until(clock::time_point deadline, const datagram_socket& socket) noexcept {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - clock::now());
  if (left <= left.zero()) return -EAGAIN;
  pollfd one{.fd = socket.fd(), .events = POLLIN, .revents = 0};
  const int found = sys::poll(&one, 1, static_cast<int>(std::min<std::int64_t>(left.count(), INT_MAX)));
  return found == 0 ? -EAGAIN : found;
}

}  // namespace

std::optional<std::chrono::nanoseconds> received_datagram::age() const noexcept {
  if (!receive_time) return {};
  return std::max(std::chrono::nanoseconds{0}, std::chrono::system_clock::now() - *receive_time);
}

received_datagram datagram_socket::receive(std::span<std::byte> buffer, std::chrono::milliseconds wait) const noexcept {
  const auto deadline = wait > wait.zero() ? clock::now() + std::min(wait, longest_wait) : clock::time_point{};
  const detail::receiver receiver{*this};
  received_datagram result;
  detail::received came;
  for (int looks = 0;; ++looks) {
    long done = receiver.receive(buffer, result.from, came);
    if (done >= 0) break;
    // The error queue says whom an ICMP error belongs to, and only it tells: what the call above got is the same error.
    if (control_.icmp_errors && (done == -EAGAIN || detail::is_from_icmp(done))) {
      if (const auto queued = receiver.take_queued_error()) {
        result.error = queued->code;
        result.from = queued->peer;
        return result;
      }
      if (done != -EAGAIN && looks < most_passed_over) continue;
    }
    if (done == -EAGAIN && wait > wait.zero()) {
      // A socket that was shut down is readable for ever, and empty.
      done = looks > 0 && receiver.is_shut_down() ? -ESHUTDOWN : wait_until(deadline, *this);
      if (done >= 0) continue;
    }
    result.error = detail::code_of(done);
    return result;
  }
  result.payload = buffer.first(std::min(came.real_size, buffer.size()));
  result.real_size = came.real_size;
  result.to = came.told.to;
  result.interface_index = came.told.interface_index;
  result.source = came.told.source;
  result.receive_time = came.told.time;
  result.ecn = came.told.ecn;
  result.segment_size = came.told.segment_size;
  result.control_truncated = came.control_cut;
  return result;
}

}  // namespace udppump
