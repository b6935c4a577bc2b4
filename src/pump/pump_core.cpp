#include "pump/pump_core.hpp"

#include <algorithm>
#include <utility>

#include "sys/failure.hpp"
#include "sys/sys.hpp"

#include <linux/sock_diag.h>

namespace udppump::detail {

namespace {

/// So many receive errors in a row are taken one after the other; then the kernel is given a pause between them. So
/// many wake-ups in a row that found nothing make the pump look why.
constexpr unsigned patience = 8;
constexpr int most_queued_errors = 16;  // taken in a turn

/// Errors that no second try can mend: the descriptor is gone or is no datagram socket.
bool is_final(long error) noexcept {
  switch (-error) {
    case EBADF:
    case ENOTSOCK:
    case EINVAL:
    case ENOTCONN:
    case EOPNOTSUPP:
    case ESHUTDOWN:
      return true;
    default:
      return false;
  }
}

/// Datagrams dropped at the socket since it was made, modulo 2^32 (sock_diag(7); SO_MEMINFO, Linux 4.12).
std::uint32_t drops_of([[maybe_unused]] const datagram_socket& socket) noexcept {
  std::uint32_t memory[SK_MEMINFO_VARS] = {};
  if (sys::getsockopt(socket.fd(), SOL_SOCKET, SO_MEMINFO, memory) >= 0) return memory[SK_MEMINFO_DROPS];
  return 0;
}

/// What only control data fills in: another pump's turn, or a handler, may have left something there.
void clear_control_data(datagram& scratch) noexcept {
  scratch.to.resize(0);
  scratch.source.local.resize(0);
  scratch.source.interface_index = 0;
  scratch.interface_index = 0;
  scratch.receive_time = {};
  scratch.codepoint = ecn::not_ect;
}

}  // namespace

pump_core::pump_core(datagram_socket& socket, handler on_datagram, pump_options options,
                     std::shared_ptr<wake_signal> signal, const fork_mark& home, std::shared_ptr<worker_link> link)
    : socket_{socket},
      handler_{std::move(on_datagram)},
      options_{std::move(options)},
      home_{home},
      flight_{std::make_shared<flight>(options_.max_in_flight, std::move(signal))},
      link_{std::move(link)},
      port_{socket.local().port()},
      stand_by_{socket.shared_line()},
      drops_seen_{drops_of(socket)} {}

void pump_core::after_fork(std::shared_ptr<wake_signal> signal) {
  flight_ = std::make_shared<flight>(options_.max_in_flight, std::move(signal));
  link_.reset();  // the parent's
  kept_ = nullptr;
  if (standing_ == standing::parents) standing_ = standing::in_service;
  if (failure_ == errc::made_before_fork) {
    failure_.clear();
    standing_ = standing::in_service;
  }
}

turn_end pump_core::turn(std::span<std::byte> buffer, datagram& scratch) {
  scratch.socket = &socket_;
  scratch.flight_ = &flight_;
  if (look_at_errors_) {
    look_at_errors_ = false;
    drain_error_queue();
    if (standing_ != standing::in_service) return resume();
  }

  const auto start = clock::now();
  meter::turn measured{meter_, start, link_};
  kept_ = link_ && link_->keeps_datagrams() ? &link_->own() : nullptr;
  const std::size_t room_size = receive_size();
  for (std::size_t taken = 0; taken < options_.budget_datagrams; ++taken) {
    if (flight_->full()) return turn_end::full;
    const std::span room{kept_ != nullptr ? kept_->payload() : buffer.data(), room_size};
    const ssize_t size = receive(room, scratch);
    if (size < 0) {
      if (size != -EAGAIN) measured.leave_out();
      const turn_end end = on_failed_receive(size);
      if (end != turn_end::more) return end;
      measured.go_on();
      continue;
    }
    woken_ = false;
    empty_in_a_row_ = refused_ = 0;
    measured.received(taken == 0);
    deliver(room, static_cast<std::size_t>(size), scratch);
    if (kept_ != nullptr) link_->finished(*kept_);
    if (standing_ != standing::in_service) return resume();
    if (measured.read_if_due() && measured.read_at() - start >= options_.budget_time) break;
  }
  ++stats_.budget_yields;
  return turn_end::more;
}

ssize_t pump_core::receive(std::span<std::byte> buffer, datagram& into) {
  if (kept_ != nullptr) return receive_kept(into);
  if (socket_.control().any()) return receive_with_control(buffer, into);
  segment_size_ = 0;
  control_cut_ = false;
  socklen_t from_size = address::capacity;
  // MSG_TRUNC: the real length comes back (recv(2); udp, unix, netlink, packet and raw). MSG_DONTWAIT and never
  // O_NONBLOCK, which is shared with every process that has the socket.
  const ssize_t size = sys::recvfrom(socket_.fd(), buffer.data(), buffer.size(), MSG_DONTWAIT | MSG_TRUNC,
                                     into.from.buffer(), &from_size);
  if (size < 0) return size;
  into.from.resize(from_size);
  clear_control_data(into);
  if (into.from.is_v4_mapped()) into.from = into.from.unmapped();
  return size;
}

ssize_t pump_core::receive_with_control(std::span<std::byte> buffer, datagram& into) {
  alignas(cmsghdr) std::byte control[control_capacity];
  iovec part{buffer.data(), buffer.size()};
  msghdr message{};
  message.msg_name = into.from.buffer();
  message.msg_namelen = address::capacity;
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  const ssize_t size = sys::recvmsg(socket_.fd(), &message, MSG_DONTWAIT | MSG_TRUNC | MSG_CMSG_CLOEXEC);
  if (size < 0) return size;
  note(message, parse_control(message), into);
  return size;
}

ssize_t pump_core::receive_kept(datagram& into) {
  link_->receive_into(socket_.fd());
  const int came = sys::recvmmsg_one(socket_.fd(), kept_->header, MSG_DONTWAIT | MSG_TRUNC | MSG_CMSG_CLOEXEC);
  if (came < 0) return came;
  note(kept_->header.msg_hdr, parse_control(kept_->header.msg_hdr), into);
  return kept_->header.msg_len;
}

void pump_core::note(const msghdr& message, const received_control& told, datagram& into) {
  into.from = address::from_sockaddr(static_cast<const sockaddr*>(message.msg_name), message.msg_namelen);
  if (into.from.is_v4_mapped()) into.from = into.from.unmapped();
  into.to = told.to.with_port(port_);
  into.source = told.source;
  into.interface_index = told.interface_index;
  into.receive_time = told.time;
  into.codepoint = told.codepoint;
  segment_size_ = told.segment_size;
  control_cut_ = (message.msg_flags & MSG_CTRUNC) != 0;
}

turn_end pump_core::turn_with(kept_datagram& kept, datagram& scratch) {
  scratch.socket = &socket_;
  scratch.flight_ = &flight_;
  msghdr message{};
  message.msg_name = &kept.from;
  message.msg_namelen = kept.header.msg_hdr.msg_namelen;
  message.msg_control = kept.control;
  message.msg_controllen = kept.header.msg_hdr.msg_controllen;
  message.msg_flags = kept.header.msg_hdr.msg_flags;
  note(message, parse_control_of_another(message), scratch);
  meter::turn measured{meter_, clock::now(), link_};
  measured.received(true);
  deliver({kept.payload(), receive_size()}, kept.header.msg_len, scratch);
  if (link_) link_->finished(kept);
  return resume();
}

/// One read with UDP_GRO holds up to 64 datagrams of the same size, the last maybe shorter (udp(7)).
std::size_t pump_core::receive_size() const noexcept {
  return socket_.control().segments ? std::max<std::size_t>(options_.receive_limit, 65'535) : options_.receive_limit;
}

void pump_core::deliver(std::span<std::byte> buffer, std::size_t size, datagram& received) {
  if (segment_size_ == 0 && !control_cut_) {
    deliver_one(buffer, size, received);
    return;
  }
  const std::size_t stride = segment_size_ != 0 && segment_size_ < size ? segment_size_ : size;

  // What stop() or an exception cuts off of a joined read cannot go back to the kernel.
  struct remainder {
    std::size_t left;
    pump_stats& stats;
    ~remainder() { stats.discarded += left; }
  } behind{size == 0 ? 1 : (size + stride - 1) / stride, stats_};

  if (control_cut_) {
    ++stats_.control_truncated;
    report(receive_error::kind::control_truncated, code_of(ENOBUFS), received.from);
  }
  for (std::size_t at = 0; behind.left > 0 && standing_ == standing::in_service; at += stride) {
    const std::size_t real = std::min(stride, size - at);
    --behind.left;
    deliver_one(buffer.subspan(std::min(at, buffer.size())), real, received);
  }
}

void pump_core::deliver_one(std::span<std::byte> buffer, std::size_t size, datagram& received) {
  received.payload = buffer.first(std::min({size, buffer.size(), options_.receive_limit}));
  received.real_size = size;
  ++stats_.received;
  stats_.bytes += received.payload.size();
  if (link_) link_->received(received.payload.size());
  if (received.truncated()) ++stats_.truncated;
  call_out([&] { handler_(received); });
}

template <class Call>
void pump_core::call_out(Call call) {
  struct notice {  // also if it throws
    pump_core& pump;
    ~notice() {
      if (pump.home_.in_child()) pump.leave_to_parent();
    }
  } const afterwards{*this};
  try {
    call();
  } catch (...) {
    if (!options_.on_exception) throw;
    options_.on_exception(std::current_exception());
  }
}

/// Memory that this process shares with its parent, and the socket's queue, are the parent's.
void pump_core::leave_to_parent() noexcept {
  if (standing_ == standing::in_service) standing_ = standing::parents;
  link_.reset();
  kept_ = nullptr;
}

turn_end pump_core::on_failed_receive(long error) {
  if (error == -EAGAIN || error == -EWOULDBLOCK) {
    refused_ = 0;
    if (!std::exchange(woken_, false)) return emptied();
    ++stats_.empty_wakeups;
    // Normal where others compete for the queue; but a socket that was shut down is readable for ever, and empty.
    if (++empty_in_a_row_ % patience != 0 || !is_shut_down()) return emptied();
    fail(code_of(ESHUTDOWN));
    return turn_end::over;
  }
  if (is_final(error)) {
    fail(code_of(error));
    return turn_end::over;
  }
  refused_ = error == -ENOMEM ? patience : refused_ + 1;  // before on_error, which may throw
  report(receive_error::kind::receive, code_of(error));
  if (standing_ != standing::in_service) return resume();  // the socket may be gone with the pump
  if (socket_.control().icmp_errors) drain_error_queue();
  return resume();
}

turn_end pump_core::emptied() noexcept {
  if (!meter_.brief() || options_.stand_by.count() == 0 || !stand_by_.another_leads()) return turn_end::emptied;
  ++stats_.stood_by;
  return turn_end::spare;
}

turn_end pump_core::resume() const noexcept {
  if (standing_ == standing::over) return turn_end::over;
  if (standing_ == standing::parents) return turn_end::forked;
  return refused_ >= patience ? turn_end::refused : turn_end::more;
}

void pump_core::drain_error_queue() {
  for (int taken = 0; taken < most_queued_errors && standing_ == standing::in_service; ++taken) {
    alignas(cmsghdr) std::byte control[control_capacity];
    std::byte payload[1];  // of the datagram that failed; not wanted
    address peer;
    iovec part{payload, sizeof payload};
    msghdr message{};
    message.msg_name = peer.buffer();
    message.msg_namelen = address::capacity;
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    if (sys::recvmsg(socket_.fd(), &message, MSG_DONTWAIT | MSG_ERRQUEUE) < 0) return;
    peer.resize(message.msg_namelen);
    // 0 is no error: a transmit time or a zero-copy notice that the program asked for by itself.
    if (const int error = parse_queued_error(message))
      report(receive_error::kind::icmp, code_of(error), peer.unmapped());
  }
}

void pump_core::fail(std::error_code why) {
  if (standing_ == standing::over) return;
  standing_ = standing::over;
  failure_ = why;
  report(receive_error::kind::fatal, why);
}

void pump_core::report(receive_error::kind what, std::error_code code, const address& peer) {
  if (what != receive_error::kind::control_truncated) {
    const auto same = std::find_if(stats_.errors.begin(), stats_.errors.end(),
                                   [code](const pump_stats::error_count& seen) { return seen.code == code; });
    if (same != stats_.errors.end()) {
      ++same->count;
    } else {
      stats_.errors.push_back({code, 1});
    }
  }
  if (options_.on_error) call_out([&] { options_.on_error({what, code, peer}); });
}

/// By shutdown(SHUT_RD), which also other processes that share the socket can do (shutdown(2), poll(2)).
bool pump_core::is_shut_down() const noexcept {
  pollfd one{.fd = socket_.fd(), .events = POLLRDHUP, .revents = 0};
  return sys::poll(&one, 1, 0) > 0 && (one.revents & POLLRDHUP) != 0;
}

pump_stats pump_core::stats() {
  const std::uint32_t drops = drops_of(socket_);
  stats_.kernel_drops += static_cast<std::uint32_t>(drops - drops_seen_);  // modulo 2^32: survives the wrap
  drops_seen_ = drops;
  stats_.send_errors = socket_.send_errors();
  stats_.in_flight = flight_->out();
  stats_.handler_time = meter_.handler_time();
  return stats_;
}

}  // namespace udppump::detail
