#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string_view>
#include <system_error>

#include "udppump/datagram_socket.hpp"
#include "udppump/export.hpp"

namespace udppump {

namespace detail {
class flight;
class pump_core;
}  // namespace detail

/// The way back to a datagram's sender, from the address that was asked. A small value for answering later: it copies,
/// and is valid as long as its socket. Sending through it is safe from any thread.
class UDPPUMP_EXPORT reply_path {
 public:
  reply_path() noexcept = default;
  reply_path(const datagram_socket& socket, const address& to, const send_source& source) noexcept
      : socket_{&socket}, to_{to}, source_{source} {}

  const address& to() const noexcept { return to_; }
  const send_source& source() const noexcept { return source_; }

  /// EDESTADDRREQ if the sender has no address (an unnamed Unix peer) and the socket is not connected; else as
  /// datagram_socket::send_to(). `options.source` is replaced by this path's own.
  [[nodiscard]] std::error_code send(payload_view payload, const send_options& options = {}) const noexcept;

 private:
  const datagram_socket* socket_ = nullptr;
  address to_;
  send_source source_;
};

/// Says that work on a datagram goes on after its handler has returned. The pump counts the tickets that are out
/// and takes no datagram while pump_options::max_in_flight of them are out. Give it back by destroying it, on any
/// thread; it may outlive the pump. Moves, does not copy.
class UDPPUMP_EXPORT ticket {
 public:
  ticket() noexcept = default;
  ticket(ticket&&) noexcept = default;
  ticket& operator=(ticket&& other) noexcept;
  ~ticket() { release(); }

  /// Gives it back now. Doing so again does nothing.
  void release() noexcept;
  explicit operator bool() const noexcept { return flight_ != nullptr; }

 private:
  friend struct datagram;
  explicit ticket(std::shared_ptr<detail::flight> flight) noexcept;
  std::shared_ptr<detail::flight> flight_;
};

/// One received datagram, as its handler gets it. The object and what `payload` points at are valid during the call
/// only; copy what is needed later. Programs may make one themselves to test a handler.
struct UDPPUMP_EXPORT datagram {
  datagram() = default;
  datagram(const datagram&) = delete;
  datagram& operator=(const datagram&) = delete;

  /// What was received, at most pump_options::receive_limit bytes; empty for an empty datagram. The pump does not need
  /// these bytes any more: a handler may change them in place.
  std::span<std::byte> payload;
  /// Size as it was sent, in bytes; larger than payload.size() if the datagram was cut.
  std::size_t real_size = 0;
  /// The sender; an IPv4 sender on a dual-stack socket as plain IPv4. None for an unnamed Unix peer.
  address from;
  /// The local address that was asked, with the socket's port. None if the socket does not learn it
  /// (socket_options::local_address).
  address to;
  /// Index of the interface it came in by; 0 if `to` is none.
  unsigned interface_index = 0;
  /// The address that an answer leaves from: `to`, unless that is multicast or broadcast, which nothing can be sent
  /// from.
  send_source source;
  /// When the kernel received it, wall clock, nanoseconds; only with socket_options::receive_time.
  std::optional<std::chrono::sys_time<std::chrono::nanoseconds>> receive_time;
  /// Only with socket_options::receive_ecn.
  udppump::ecn ecn = udppump::ecn::not_ect;
  /// The socket it came by.
  const datagram_socket* socket = nullptr;

  bool truncated() const noexcept { return real_size > payload.size(); }
  std::string_view text() const noexcept { return {reinterpret_cast<const char*>(payload.data()), payload.size()}; }
  /// Which of the port's lanes it came by, from 0 on (lanes.hpp); 0 without lanes.
  std::size_t lane() const noexcept { return socket != nullptr ? socket->lane() : 0; }
  /// Time since receive_time, never negative though the wall clock may step; nothing if there is no receive_time.
  std::optional<std::chrono::nanoseconds> age() const noexcept;

  /// Answers the sender from the address that was asked. Errors as reply_path::send(); a UDP answer may be lost anyway,
  /// so they may be ignored.
  std::error_code reply(payload_view answer, const send_options& options = {}) const noexcept;
  /// For an answer after the handler has returned.
  udppump::reply_path reply_path() const noexcept;
  /// For work that goes on after the handler has returned. An empty ticket if no pump made this datagram.
  [[nodiscard]] ticket hold() const noexcept;

 private:
  friend class detail::pump_core;
  const std::shared_ptr<detail::flight>* flight_ = nullptr;  // the pump's own
};

}  // namespace udppump
