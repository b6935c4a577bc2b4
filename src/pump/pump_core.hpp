#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "clients/client_table.hpp"
#include "clients/queue_share.hpp"
#include "pump/batch.hpp"
#include "pump/flight.hpp"
#include "pump/meter.hpp"
#include "pump/source_check.hpp"
#include "pump/spacing.hpp"
#include "pump/stand_by.hpp"
#include "pump/worker_link.hpp"
#include "socket/arrival_clock.hpp"
#include "socket/interface_watch.hpp"
#include "socket/receive.hpp"
#include "sys/fork_mark.hpp"
#include "udppump/error.hpp"
#include "udppump/handler.hpp"
#include "udppump/pump_options.hpp"
#include "udppump/pump_stats.hpp"

namespace udppump::detail {

/// Why a pump's turn ended.
enum class turn_end {
  /// The queue is empty: arm.
  emptied,
  /// The budget is used and there may be more: another turn, after the others.
  more,
  /// max_in_flight tickets are out: nothing until one comes back.
  full,
  /// The queue is empty, and another worker is quicker than this one would be awake: arm after a while.
  spare,
  /// The kernel keeps refusing: try again after a pause.
  refused,
  /// stop() was called, or the pump cannot go on.
  over,
  /// This is the child of a fork that the program made in a call from here: the pump is the parent's.
  forked,
};

/// What the pumps of a group share: each turn replaces it.
struct scratch {
  datagram shown;  // to the handler
  received came;
};

/// One pump: receives, calls the handler, counts. Its group decides when.
class pump_core {
 public:
  /// `home` tells whether this is still the process that the pump is of; it outlives the pump. `link` is null outside
  /// of a worker_pool.
  pump_core(datagram_socket& socket, handler on_datagram, pump_options options, std::shared_ptr<wake_signal> signal,
            const fork_mark& home, std::shared_ptr<worker_link> link = nullptr);
  ~pump_core();
  pump_core(const pump_core&) = delete;
  pump_core& operator=(const pump_core&) = delete;

  /// Receives into `buffer` and `common`, and calls the handler, until something ends the turn. If datagrams come one
  /// at a time and `arming_looks` (waiter::looks_when_armed()), it leaves to the waiter to find the queue empty.
  /// Throws what the handler throws; the turn may be resumed then.
  turn_end turn(std::span<std::byte> buffer, scratch& common, bool arming_looks);

  /// A datagram whose worker died is handled here: a turn of its own.
  turn_end turn_with(kept_datagram& kept, scratch& common);

  /// How a turn ends that on_error or the handler left by an exception.
  turn_end resume() const noexcept;

  /// Waiting for the socket was refused for now.
  void report_refusal(std::error_code why) { report(receive_error::kind::receive, why); }
  void report_interface(const interface_change& change) {
    report(receive_error::kind::interface, change.code, {}, change.text);
  }
  /// The next turn begins with it.
  void report_interface_later(interface_change change) {
    interface_to_report_ = std::move(change);
    look_at_errors_ = true;
  }
  /// Reports, once, that the pump cannot go on, and makes it so.
  void fail(std::error_code why);
  /// Nothing starts after this.
  void end() noexcept;
  void after_fork(std::shared_ptr<wake_signal> signal);

  /// Bytes of buffer that a turn needs.
  std::size_t receive_size() const noexcept;
  bool over() const noexcept { return standing_ == standing::over; }
  std::error_code failure() const noexcept { return failure_; }
  bool has_room() const noexcept { return !flight_->full(); }
  datagram_socket& socket() const noexcept { return socket_; }
  const pump_options& options() const noexcept { return options_; }
  std::size_t in_flight() const noexcept { return flight_->out(); }
  /// Counts the tickets also when the pump is gone.
  const std::shared_ptr<flight>& tickets() const noexcept { return flight_; }
  pump_stats stats();

  void note_wakeup() noexcept {
    ++stats_.wakeups;
    woken_ = true;
  }
  /// The next turn also looks at the socket's error queue.
  void note_queued_error() noexcept { look_at_errors_ = true; }

 private:
  using clock = std::chrono::steady_clock;
  /// While handlers are brief, so many datagrams share a look at the clock.
  static constexpr unsigned ages_one_in = 16;
  /// parents: this is the child of a fork, and after_fork() was not called.
  enum class standing : std::uint8_t { in_service, over, parents };

  /// Takes a datagram: 0, or -errno. `room` becomes what it was received into: memory that outlives this process if the
  /// pool keeps it, or a batch.
  long receive(std::span<std::byte>& room, scratch& into, bool with_time);
  /// Takes as many datagrams as make a batch, if after `taken` datagrams of a turn a batch pays; 0, or -errno.
  long receive_batch(std::size_t taken, meter::turn& measured);
  std::size_t batch_size(std::size_t taken) const noexcept;
  bool has_batch() const noexcept { return batch_ && !batch_->empty(); }
  /// Fills in the datagram that is shown.
  void describe(scratch& common) const noexcept;
  /// Whether what was received is not for the handler; it is then counted.
  bool drops(const scratch& common) noexcept;
  /// Whether the next datagram may have waited so long that its age matters; `now` may be a little ago.
  bool may_expire(clock::time_point now) const noexcept {
    return options_.max_age.count() != 0 && now - arrivals_.earliest() >= options_.max_age / 2;
  }
  /// How long what was received has waited, if the kernel says so.
  std::optional<std::chrono::nanoseconds> age_of(const scratch& common) noexcept;
  bool is_too_old(std::chrono::nanoseconds age) const noexcept {
    return options_.max_age.count() != 0 && age > options_.max_age;
  }
  void note_age(std::size_t count, bool is_due, std::optional<std::chrono::nanoseconds> age) noexcept;
  /// Counts what was received as too old, and tells on_expired.
  void expire(std::span<std::byte> buffer, scratch& common, std::chrono::nanoseconds age);
  bool is_over_limit(const scratch& common, clock::time_point now) noexcept {
    client_table* const limit = options_.client_limit.table_.get();
    return limit != nullptr && !limit->admits(common.shown.from, now, count_of(common.came), last_limited_);
  }
  bool is_over_share(const scratch& common, clock::time_point now) noexcept {
    return share_ && !share_.admits(common.shown.from, now, count_of(common.came), [this] { return waiting(); });
  }
  std::optional<queue_share::fill> waiting() const noexcept;
  /// Counts what was received as over its client's limit or share, and tells on_limited.
  void limit(std::span<std::byte> buffer, scratch& common);
  /// Calls for each datagram that was received and is dropped, until the pump stops.
  template <class Call>
  void tell_of_each(std::span<std::byte> buffer, scratch& common, Call call);
  /// Calls the handler for what was received: once, or once a segment.
  void deliver(std::span<std::byte> buffer, scratch& common);
  void deliver_parts(std::span<std::byte> buffer, scratch& common);
  void deliver_one(std::span<std::byte> buffer, std::size_t size, datagram& shown);
  /// How many datagrams a read holds.
  static std::size_t count_of(const received& came) noexcept;
  /// Shows the part of `buffer` that begins there, as a datagram of `size` bytes.
  void show(std::span<std::byte> buffer, std::size_t size, datagram& shown) const noexcept;
  /// Calls the program; what it throws goes to on_exception. A fork is noticed here and nowhere else: the program can
  /// make one only while it is called.
  template <class Call>
  void call_out(Call call);
  void leave_to_parent() noexcept;
  turn_end on_failed_receive(long error);
  /// Whether to stand by, if the queue is empty, instead of arming.
  bool is_spare() noexcept;
  turn_end emptied() noexcept;
  void drain_error_queue();
  void report(receive_error::kind what, std::error_code code, const address& peer = {}, std::string_view detail = {});

  datagram_socket& socket_;
  const receiver receiver_;
  handler handler_;
  pump_options options_;
  const source_check sources_;
  arrival_clock arrivals_;
  const fork_mark& home_;
  std::shared_ptr<flight> flight_;
  std::shared_ptr<worker_link> link_;
  kept_datagram* kept_ = nullptr;  // what is received into; null: the group's buffer
  std::unique_ptr<batch> batch_;   // none before the first
  pump_stats stats_;
  meter meter_;
  std::error_code failure_;
  standing standing_ = standing::in_service;
  bool woken_ = false;
  bool behind_ = false;  // the last turn did not empty the queue
  bool look_at_errors_ = false;
  std::optional<interface_change> interface_to_report_;
  bool knows_ages_ = false;      // and tells the pool
  unsigned unaged_ = 0;          // datagrams since the last whose age was told
  unsigned refused_ = 0;         // failed receives in a row
  unsigned empty_in_a_row_ = 0;  // wake-ups that found nothing
  stand_by stand_by_;
  queue_share share_;
  last_client last_limited_;
  spacing spacing_;
  std::uint32_t drops_seen_ = 0;
};

}  // namespace udppump::detail
