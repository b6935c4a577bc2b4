#include "udppump/datagram.hpp"

#include <algorithm>
#include <utility>

#include "pump/flight.hpp"
#include "sys/failure.hpp"

namespace udppump {

namespace {

std::error_code send_back(const datagram_socket* socket, payload_view payload, const address& to,
                          const send_source& source, const send_options& options) noexcept {
  if (socket == nullptr) return detail::code_of(EDESTADDRREQ);
  const auto failed = socket->send_from(source, payload, to, options);
  // Without a destination an unconnected socket says ENOTCONN or EDESTADDRREQ, according to its family.
  if (to.is_none() && failed == std::errc::not_connected) return detail::code_of(EDESTADDRREQ);
  return failed;
}

}  // namespace

std::error_code reply_path::send(payload_view payload, const send_options& options) const noexcept {
  return send_back(socket_, payload, to_, source_, options);
}

ticket::ticket(std::shared_ptr<detail::flight> flight) noexcept : flight_{std::move(flight)} {
  if (flight_) flight_->depart();
}

ticket& ticket::operator=(ticket&& other) noexcept {
  if (this == &other) return *this;
  release();
  flight_ = std::move(other.flight_);
  return *this;
}

void ticket::release() noexcept {
  if (const auto held = std::exchange(flight_, nullptr)) held->arrive();
}

std::optional<std::chrono::nanoseconds> datagram::age() const noexcept {
  if (!receive_time) return {};
  return std::max(std::chrono::nanoseconds{0}, std::chrono::system_clock::now() - *receive_time);
}

std::error_code datagram::reply(payload_view answer, const send_options& options) const noexcept {
  return send_back(socket, answer, from, source, options);
}

udppump::reply_path datagram::reply_path() const noexcept {
  return socket == nullptr ? udppump::reply_path{} : udppump::reply_path{*socket, from, source};
}

ticket datagram::hold() const noexcept { return flight_ == nullptr ? ticket{} : ticket{*flight_}; }

}  // namespace udppump
