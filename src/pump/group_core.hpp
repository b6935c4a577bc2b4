#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <span>
#include <vector>

#include "pump/entry_guard.hpp"
#include "pump/errands.hpp"
#include "pump/pump_core.hpp"
#include "pump/roster.hpp"
#include "udppump/pump_group.hpp"
#include "wait/waiter.hpp"

namespace udppump::detail {

/// Throws std::invalid_argument for an option out of range.
void check(const pump_options& options);

/// The loop of the pumps of one thread: one waiter, one wake_signal, one receive buffer. It arms, gathers what fired,
/// and gives each ready pump a turn.
class UDPPUMP_EXPORT group_core : public std::enable_shared_from_this<group_core> {
 public:
  /// `single`: made by a pump for itself alone, whose failure is then the group's.
  group_core(waiter_kind kind, std::chrono::nanoseconds budget_time, bool single);
  /// A worker's, which its pool can wake by `signal` and speak to by `link`.
  group_core(waiter_kind kind, std::chrono::nanoseconds budget_time, std::shared_ptr<wake_signal> signal,
             std::shared_ptr<worker_link> link);
  ~group_core();

  const std::shared_ptr<wake_signal>& signal() const noexcept { return signal_; }
  /// Null outside of a worker_pool.
  const std::shared_ptr<worker_link>& link() const noexcept { return errands_.link(); }
  waiter_report waiter() const { return {chosen_.waiter->kind(), chosen_.fallback}; }
  std::size_t size() const noexcept { return pumps_.size(); }

  /// Throws std::invalid_argument for an option out of range, or a second pump on the socket.
  std::shared_ptr<member> add(datagram_socket& socket, handler on_datagram, pump_options options);
  /// Takes it off its socket and out of the group. Idempotent.
  void remove(member& leaving) noexcept;
  /// Removes all.
  void stop() noexcept;

  void edge_triggered(bool is) noexcept { edge_triggered_ = is; }
  std::error_code dispatch();
  std::error_code run();
  /// Any thread, signal handlers.
  void request_stop() noexcept;
  void request_stop(member& one) noexcept;
  void after_fork();
  /// The owning thread is about to end.
  void on_thread_end() noexcept;

 private:
  using clock = std::chrono::steady_clock;
  /// What gather() takes from the waiter.
  enum class gathering {
    /// What it has already; nothing is submitted for it.
    what_fired,
    /// All there is, after what was armed since has been submitted.
    what_is_there,
    /// The same, and waits until there is something.
    what_comes,
  };

  group_core(waiter_kind kind, std::chrono::nanoseconds budget_time, bool single, std::shared_ptr<wake_signal> signal,
             std::shared_ptr<worker_link> link);

  /// Runs loop() as dispatch() or run(), or says why that cannot be now. If an exception leaves, the wake_signal is
  /// left readable, so that the next dispatch() goes on.
  template <class Loop>
  std::error_code enter(Loop loop);
  std::error_code refusal();
  std::error_code dispatch_once();
  std::error_code run_until_stopped();
  void sleep_in(sleeper who);

  /// Takes what has fired, and looks at all that no waiter tells: requests to stop, tickets that came back, pauses that
  /// are over, what the pool wants. An error means that the group is out of service.
  std::error_code gather(gathering how);
  void take_fired(std::error_code failed);
  void note(const firing& what);
  void let_go(member& one);
  void begin_stop();
  /// Only pumps that bring answers are left, and none is awaited any more.
  bool may_finish() const noexcept;
  void finish_if_may();
  void heed_lanes(member& one) noexcept;
  void wake_for_first_pause();
  /// Whether gather() would find something.
  bool has_news() const noexcept;

  /// Gives each ready pump a turn, as long as there is time. False in the child of a fork that a handler made, if
  /// after_fork() was not called there: nothing here may be touched then.
  bool serve(clock::time_point until);
  bool serve_offers();
  turn_end turn_of(member& one);
  /// What there was in the lanes before that of the pump whose turn is next.
  enum class others { are_served, have_more, forked };
  /// Takes all other pumps out of their wait queues, and serves the lanes before that of `next`.
  others leave_other_lanes(member& next);
  void settle(member& one, turn_end end);
  void arm(member& one);
  void disarm(member& one) noexcept;
  void pause(member& one, std::chrono::nanoseconds time);

  /// Waiting itself failed: another waiter if that is allowed, else the end of all pumps.
  void replace_waiter(std::error_code why);
  void tell_waiter() noexcept;
  void fail_all(std::error_code why);
  void fail(member& one, std::error_code why);
  /// If that is refused, the pump reports it at its first turn.
  void watch_interfaces_of(const std::shared_ptr<member>& one);
  void grow_buffer(std::size_t size);

  entry_guard guard_;
  std::shared_ptr<wake_signal> signal_;
  errands errands_;
  const waiter_kind asked_;
  chosen_waiter chosen_;
  sleeper sleeper_ = sleeper::nobody_yet;
  const std::chrono::nanoseconds budget_time_;
  const bool single_;

  roster pumps_;
  std::uint32_t arms_ = 0;
  std::vector<firing> fired_;
  std::shared_ptr<std::byte[]> buffer_;  // never touched before it is received into: costs no memory until then
  std::size_t buffer_size_ = 0;
  scratch scratch_;
  bool hushed_ = false;  // a dispatch() inside a handler cleared the wake_signal
  bool edge_triggered_ = false;
  std::error_code error_;                         // why the group as a whole is out of service
  std::error_code last_failure_;                  // of a pump
  bool is_ending_ = false;                        // those that bring answers are left to stop
  std::vector<std::shared_ptr<flight>> awaited_;  // tickets of those that have stopped
  std::atomic<bool> stop_all_requested_{false}, stop_one_requested_{false};
};

}  // namespace udppump::detail
