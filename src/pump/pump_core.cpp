#include "pump/pump_core.hpp"

#include <algorithm>
#include <utility>

#include "address/raw_address.hpp"
#include "pump/queue_line.hpp"
#include "sys/failure.hpp"

namespace udppump::detail {

namespace {

/// So many receive errors in a row are taken one after the other; then the kernel is given a pause between them. So
/// many wake-ups in a row that found nothing make the pump look why.
constexpr unsigned patience = 8;
constexpr int most_queued_errors = 16;  // taken in a turn
/// After so many datagrams in a turn the queue is behind, and batches pay.
constexpr std::size_t before_batches = 4;
constexpr std::size_t largest_of_batches = 65'535;

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

}  // namespace

pump_core::pump_core(datagram_socket& socket, handler on_datagram, pump_options options,
                     std::shared_ptr<wake_signal> signal, const fork_mark& home, std::shared_ptr<worker_link> link)
    : socket_{socket},
      receiver_{socket},
      handler_{std::move(on_datagram)},
      options_{std::move(options)},
      sources_{options_.ignore_from, socket},
      home_{home},
      flight_{std::make_shared<flight>(options_.max_in_flight, std::move(signal))},
      link_{std::move(link)},
      stand_by_{queue_line::leader_in(socket.shared_line())},
      share_{options_.client_share, queue_line::share_in(socket.shared_line())},
      drops_seen_{receiver_.drops()} {
  if (share_ && socket.shared_line() == nullptr) {
    fail_with_cure(-ENOMEM, "a page of memory shared with the other workers, which client_share needs");
  }
  if (link_) flight_->show_in(link_->in_flight(socket.lane()));
  knows_ages_ = link_ != nullptr && (options_.max_age.count() != 0 || socket.control().receive_time);
  if (knows_ages_) link_->knows_ages();
  if (options_.max_age.count() == 0 || socket.control().receive_time) return;
  if (const int set = receiver_.note_times(); set < 0) {
    fail_with_cure(set, "setsockopt SO_TIMESTAMP = 1, which max_age needs");
  }
}

pump_core::~pump_core() { home_.in_child() ? flight_->forget_pool() : flight_->leave_pool(); }

void pump_core::after_fork(std::shared_ptr<wake_signal> signal) {
  flight_->forget_pool();
  flight_ = std::make_shared<flight>(options_.max_in_flight, std::move(signal));
  link_.reset();  // the parent's
  knows_ages_ = false;
  kept_ = nullptr;
  if (batch_) batch_->clear();
  if (standing_ == standing::parents) standing_ = standing::in_service;
  if (failure_ == errc::made_before_fork) {
    failure_.clear();
    standing_ = standing::in_service;
  }
}

turn_end pump_core::turn(std::span<std::byte> buffer, scratch& common, bool arming_looks) {
  common.shown.socket = &socket_;
  common.shown.flight_ = &flight_;
  if (look_at_errors_) {
    look_at_errors_ = false;
    if (const auto change = std::exchange(interface_to_report_, std::nullopt)) report_interface(*change);
    drain_error_queue();
    if (standing_ != standing::in_service) return resume();
  }

  const auto start = clock::now();
  meter::turn measured{meter_, start, link_, socket_.lane()};
  spacing_.turn_begins(start);
  if (share_ && woken_) share_.found_empty(start);
  kept_ = link_ && link_->keeps_datagrams() ? &link_->own() : nullptr;
  const std::size_t room_size = receive_size();
  for (std::size_t taken = 0; taken < options_.budget_datagrams; ++taken) {
    if (flight_->full()) return turn_end::full;
    std::span room{kept_ != nullptr ? kept_->payload() : buffer.data(), room_size};
    const auto looked_at = measured.read_at();
    // What is left of a batch was taken a moment ago, when the queue was young.
    const bool age_is_due = knows_ages_ && (!meter_.brief() || unaged_ + 1 >= ages_one_in);
    const bool with_time = !has_batch() && (age_is_due || may_expire(looked_at));
    long failed = with_time ? 0 : receive_batch(taken, measured);
    if (failed == 0) failed = receive(room, common, with_time);
    if (failed < 0) {
      if (failed == -EAGAIN) {
        arrivals_.was_empty(looked_at);
        measured.read();
        measured.go_on();
        if (share_) share_.found_empty(measured.read_at());
        behind_ = false;
        spacing_.found_empty(taken, measured.read_at());
      } else {
        measured.leave_out();
      }
      const turn_end end = on_failed_receive(failed);
      if (end != turn_end::more) return end;
      measured.go_on();
      continue;
    }
    woken_ = false;
    empty_in_a_row_ = refused_ = 0;
    describe(common);
    if (drops(common)) {
      measured.leave_out();
      if (kept_ != nullptr) link_->finished(*kept_);
      measured.dropped(false);
      continue;
    }
    const auto age = with_time || age_is_due ? age_of(common) : std::nullopt;
    if (knows_ages_) note_age(count_of(common.came), age_is_due, age);
    const bool is_old = age && is_too_old(*age);
    const bool is_limited = is_over_limit(common, looked_at) || (!is_old && is_over_share(common, looked_at));
    if (is_limited || is_old) {
      measured.leave_out();
      struct finishing {  // also if on_limited or on_expired throws: it is dropped, and no other worker gets it
        pump_core& pump;
        ~finishing() {
          if (pump.kept_ != nullptr) pump.link_->finished(*pump.kept_);
        }
      } const dropped{*this};
      is_limited ? limit(room, common) : expire(room, common, *age);
      if (standing_ != standing::in_service) return resume();
      measured.dropped(is_limited ? options_.on_limited != nullptr : options_.on_expired != nullptr);
      if (!has_batch() && measured.read_at() - start >= options_.budget_time) break;
      continue;
    }
    measured.received(taken == 0);
    deliver(room, common);
    if (kept_ != nullptr) link_->finished(*kept_);
    if (standing_ != standing::in_service) return resume();
    if (arming_looks && taken == 0 && !has_batch() && spacing_.expects_none() && !is_spare()) {
      measured.read();
      spacing_.left(measured.read_at());
      return turn_end::emptied;
    }
    if (!has_batch() && measured.read_if_due() && measured.read_at() - start >= options_.budget_time) break;
  }
  ++stats_.budget_yields;
  behind_ = true;
  return turn_end::more;
}

long pump_core::receive_batch(std::size_t taken, meter::turn& measured) {
  if (has_batch()) return 0;
  const std::size_t count = batch_size(taken);
  if (count < 2) return 0;
  measured.batch_begins();
  if (!batch_) batch_ = std::make_unique<batch>(receive_size());
  const long failed = batch_->receive(receiver_, count);
  if (failed == 0) measured.batch_came();
  return failed;
}

/// As many as are handled before another worker would be awake to handle them. Datagrams that outlive this process are
/// taken one at a time, those that may be held as well, since only the handler knows which.
std::size_t pump_core::batch_size(std::size_t taken) const noexcept {
  if ((taken < before_batches && !behind_) || kept_ != nullptr || options_.max_in_flight != 0 ||
      socket_.control().segments || options_.receive_limit > largest_of_batches || !meter_.always_brief()) {
    return 1;
  }
  const auto in_time = meter::brief_handler / std::max(meter_.each(), std::chrono::nanoseconds{1});
  return std::min({static_cast<std::size_t>(in_time), options_.batch_limit, options_.budget_datagrams - taken});
}

long pump_core::receive(std::span<std::byte>& room, scratch& into, bool with_time) {
  if (has_batch()) {
    room = batch_->take(receiver_, into.shown.from, into.came);
    return 0;
  }
  if (kept_ == nullptr) return receiver_.receive(room, into.shown.from, into.came, with_time);
  link_->receive_into(socket_.fd());
  return receiver_.receive_into_slot(kept_->header, into.shown.from, into.came);
}

/// Nothing may be left of another pump's datagram, or of what a handler wrote there.
void pump_core::describe(scratch& common) const noexcept {
  datagram& shown = common.shown;
  const received_control& told = common.came.told;
  if (!receiver_.plain() && socket_.control().local_address) {
    shown.to = told.to;
    shown.source = told.source;
  } else {
    raw_address::resize(shown.to, 0);
    raw_address::resize(shown.source.local, 0);
    shown.source.interface_index = 0;
  }
  if (receiver_.plain()) {
    shown.interface_index = 0;
    shown.receive_time = {};
    shown.ecn = ecn::not_ect;
  } else {
    shown.interface_index = told.interface_index;
    shown.receive_time = socket_.control().receive_time ? told.time : std::nullopt;
    shown.ecn = told.ecn;
  }
}

bool pump_core::drops(const scratch& common) noexcept {
  const bool is_ignored = sources_.drops(common.shown);
  if (!is_ignored && !(link_ && link_->is_quarantined(common.shown.from))) return false;
  const std::size_t count = count_of(common.came);
  (is_ignored ? stats_.ignored : stats_.quarantined) += count;
  if (link_) is_ignored ? link_->ignored(socket_.lane(), count) : link_->quarantined(socket_.lane(), count);
  return true;
}

std::size_t pump_core::count_of(const received& came) noexcept {
  const std::size_t size = came.real_size, segment = came.told.segment_size;
  return segment == 0 || size == 0 ? 1 : (size + segment - 1) / segment;
}

std::optional<std::chrono::nanoseconds> pump_core::age_of(const scratch& common) noexcept {
  const auto at = arrival_clock::read();
  const auto& stamp = common.came.told.time;
  if (!stamp) {
    // Somebody who shares the socket has turned it off. It is no reason to ask for each datagram.
    if (!socket_.control().receive_time) static_cast<void>(receiver_.note_times());
    arrivals_.was_empty(at.now);
    return {};
  }
  return arrivals_.age(*stamp, at);
}

/// `count` datagrams were taken. One whose age is known stands for those since the one before it.
void pump_core::note_age(std::size_t count, bool is_due, std::optional<std::chrono::nanoseconds> age) noexcept {
  unaged_ += static_cast<unsigned>(count);
  if (!is_due) return;
  if (age) link_->waited(socket_.lane(), *age, unaged_);
  unaged_ = 0;
}

void pump_core::expire(std::span<std::byte> buffer, scratch& common, std::chrono::nanoseconds age) {
  const std::size_t count = count_of(common.came);
  stats_.expired += count;
  if (link_) link_->expired(socket_.lane(), count);
  if (options_.on_expired) tell_of_each(buffer, common, [&] { options_.on_expired(common.shown, age); });
}

std::optional<queue_share::fill> pump_core::waiting() const noexcept {
  const auto memory = queue_memory_of(socket_.fd());
  return memory ? std::optional{queue_share::fill{memory->fill, memory->limit}} : std::nullopt;
}

void pump_core::limit(std::span<std::byte> buffer, scratch& common) {
  const std::size_t count = count_of(common.came);
  stats_.limited += count;
  if (link_) link_->limited(socket_.lane(), count);
  if (options_.on_limited) tell_of_each(buffer, common, [&] { options_.on_limited(common.shown); });
}

template <class Call>
void pump_core::tell_of_each(std::span<std::byte> buffer, scratch& common, Call call) {
  const std::size_t count = count_of(common.came);
  const std::size_t size = common.came.real_size, stride = count > 1 ? common.came.told.segment_size : size;
  for (std::size_t nth = 0; nth < count && standing_ == standing::in_service; ++nth) {
    const std::size_t at = nth * stride;
    show(buffer.subspan(std::min(at, buffer.size())), std::min(stride, size - at), common.shown);
    call_out(call);
  }
}

turn_end pump_core::turn_with(kept_datagram& kept, scratch& common) {
  common.shown.socket = &socket_;
  common.shown.flight_ = &flight_;
  // Read once: other workers may write there.
  const msghdr header = kept.header.msg_hdr;
  sockaddr_storage from = kept.from;
  alignas(cmsghdr) std::byte control[control_capacity];
  std::copy(std::begin(kept.control), std::end(kept.control), control);
  iovec part{};
  msghdr message = message_into(reinterpret_cast<sockaddr*>(&from), part,
                                std::span{control}.first(std::min(header.msg_controllen, sizeof control)));
  message.msg_namelen = header.msg_namelen;
  message.msg_flags = header.msg_flags;
  receiver_.read_slot(message, kept.header.msg_len, common.shown.from, common.came);
  describe(common);
  meter::turn measured{meter_, clock::now(), link_, socket_.lane()};
  measured.received(true);
  deliver({kept.payload(), receive_size()}, common);
  if (link_) link_->finished(kept);
  return resume();
}

/// One read with UDP_GRO holds up to 64 datagrams of the same size, the last maybe shorter (udp(7)).
std::size_t pump_core::receive_size() const noexcept {
  return socket_.control().segments ? std::max<std::size_t>(options_.receive_limit, 65'535) : options_.receive_limit;
}

void pump_core::deliver(std::span<std::byte> buffer, scratch& common) {
  if (common.came.told.segment_size == 0 && !common.came.control_cut) {
    deliver_one(buffer, common.came.real_size, common.shown);
  } else {
    deliver_parts(buffer, common);
  }
}

void pump_core::deliver_parts(std::span<std::byte> buffer, scratch& common) {
  const std::size_t size = common.came.real_size, segment = common.came.told.segment_size;
  const std::size_t stride = segment != 0 && segment < size ? segment : size;

  // What stop() or an exception cuts off of a joined read cannot go back to the kernel.
  struct remainder {
    std::size_t left;
    pump_stats& stats;
    ~remainder() { stats.discarded += left; }
  } behind{count_of(common.came), stats_};

  if (common.came.control_cut) {
    ++stats_.control_truncated;
    report(receive_error::kind::control_truncated, code_of(ENOBUFS), common.shown.from);
  }
  for (std::size_t at = 0; behind.left > 0 && standing_ == standing::in_service; at += stride) {
    const std::size_t real = std::min(stride, size - at);
    --behind.left;
    deliver_one(buffer.subspan(std::min(at, buffer.size())), real, common.shown);
  }
}

void pump_core::show(std::span<std::byte> buffer, std::size_t size, datagram& shown) const noexcept {
  shown.payload = buffer.first(std::min({size, buffer.size(), options_.receive_limit}));
  shown.real_size = size;
}

void pump_core::deliver_one(std::span<std::byte> buffer, std::size_t size, datagram& shown) {
  show(buffer, size, shown);
  ++stats_.received;
  stats_.bytes += shown.payload.size();
  if (link_) link_->received(socket_.lane(), shown.payload.size());
  if (shown.truncated()) ++stats_.truncated;
  call_out([&] { handler_(shown); });
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
  flight_->forget_pool();
  link_.reset();
  knows_ages_ = false;
  kept_ = nullptr;
  if (batch_) batch_->clear();
}

turn_end pump_core::on_failed_receive(long error) {
  if (error == -EAGAIN || error == -EWOULDBLOCK) {
    refused_ = 0;
    if (!std::exchange(woken_, false)) return emptied();
    ++stats_.empty_wakeups;
    // Normal if others compete for the queue; but a socket that was shut down is readable for ever, and empty.
    if (++empty_in_a_row_ % patience != 0 || !receiver_.is_shut_down()) return emptied();
    fail(code_of(ESHUTDOWN));
    return turn_end::over;
  }
  // The error queue has the same error with its peer, and only the queue tells; another worker may have told already.
  if (socket_.control().icmp_errors && is_from_icmp(error)) {
    ++refused_;  // before on_error, which may throw
    drain_error_queue();
    return resume();
  }
  if (is_final(error)) {
    fail(code_of(error));
    return turn_end::over;
  }
  refused_ = error == -ENOMEM ? patience : refused_ + 1;  // before on_error, which may throw
  report(receive_error::kind::receive, code_of(error));
  return resume();
}

bool pump_core::is_spare() noexcept {
  return meter_.brief() && options_.stand_by.count() != 0 && stand_by_.another_leads();
}

turn_end pump_core::emptied() noexcept {
  if (!is_spare()) return turn_end::emptied;
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
    const auto error = receiver_.take_queued_error();
    if (!error) return;
    report(receive_error::kind::icmp, error->code, error->peer);
  }
}

void pump_core::end() noexcept {
  standing_ = standing::over;
  if (!batch_) return;
  stats_.discarded += batch_->size();
  batch_->clear();
}

void pump_core::fail(std::error_code why) {
  if (standing_ == standing::over) return;
  end();
  failure_ = why;
  report(receive_error::kind::fatal, why);
}

void pump_core::report(receive_error::kind what, std::error_code code, const address& peer, std::string_view detail) {
  if (code && what != receive_error::kind::control_truncated) {
    const auto same = std::find_if(stats_.errors.begin(), stats_.errors.end(),
                                   [code](const pump_stats::error_count& seen) { return seen.code == code; });
    if (same != stats_.errors.end()) {
      ++same->count;
    } else {
      stats_.errors.push_back({code, 1});
    }
  }
  if (options_.on_error) {
    call_out([&] { options_.on_error({what, code, peer, detail}); });
  } else if (link_) {
    link_->met({what, code, peer, detail});
  }
}

pump_stats pump_core::stats() {
  const std::uint32_t drops = receiver_.drops();
  stats_.kernel_drops += static_cast<std::uint32_t>(drops - drops_seen_);  // modulo 2^32: survives the wrap
  drops_seen_ = drops;
  stats_.send_errors = socket_.send_errors();
  stats_.in_flight = flight_->out();
  stats_.handler_time = meter_.handler_time();
  return stats_;
}

}  // namespace udppump::detail
