#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <thread>
#include <unordered_set>
#include <vector>

#include "pump/pump_core.hpp"
#include "sys/fork_mark.hpp"
#include "udppump/pump_group.hpp"
#include "wait/waiter.hpp"

namespace udppump::detail {

/// The pumps of one thread: one waiter, one wake_signal, one receive buffer, and whose turn it is.
///
/// A pump is always in one of these places: in ready_ (has or may have datagrams), armed in the waiter, in full_ (waits
/// for a ticket), in pausing_ (waits for a pause to end), or over.
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
  const std::shared_ptr<worker_link>& link() const noexcept { return link_; }
  waiter_report waiter() const { return {waiter_->kind(), fallback_}; }
  std::size_t size() const noexcept { return serving_; }

  void add(const std::shared_ptr<pump_core>& pump);
  /// Takes it off its socket and out of the group. Idempotent.
  void remove(pump_core& pump) noexcept;

  std::error_code dispatch();
  std::error_code run();
  /// Any thread, signal handlers.
  void request_stop() noexcept;
  void request_stop(pump_core& pump) noexcept;
  void after_fork();
  /// The owning thread is about to end.
  void on_thread_end() noexcept;

 private:
  using clock = std::chrono::steady_clock;
  class inside;

  group_core(waiter_kind kind, std::chrono::nanoseconds budget_time, bool single, std::shared_ptr<wake_signal> signal,
             std::shared_ptr<worker_link> link);

  /// Empty, or why dispatch() and run() cannot be entered now.
  std::error_code may_enter();
  /// Where waiting itself failed: another waiter where that is allowed, else the end of all pumps.
  void replace_waiter(std::error_code why);
  void end_all(std::error_code why);
  void fail(const std::shared_ptr<pump_core>& pump, std::error_code why);
  void grow_buffer(std::size_t size);
  void queue(const std::shared_ptr<pump_core>& pump);
  void unqueue(const pump_core& pump) noexcept;
  void disarm(pump_core& pump) noexcept;

  /// Takes from the waiter what has fired. An error means that the waiter is gone for good.
  std::error_code collect(bool block);
  void note(const firing& one);
  /// Looks at all that is not told by the waiter: wishes to stop, tickets that came back, pauses that are over.
  void recheck();
  /// What the pool wants.
  void heed_pool();
  void serve_offers();
  void finish();
  void let_leave(const std::shared_ptr<pump_core>& pump);
  /// Whether recheck() or collect() would find something.
  bool has_news() const noexcept;
  /// Gives each ready pump a turn, as long as there is time.
  void serve(clock::time_point until);
  void settle(const std::shared_ptr<pump_core>& pump, turn_end end);
  void pause(const std::shared_ptr<pump_core>& pump, std::chrono::nanoseconds time);
  /// Whether a pause ends later than that.
  bool waits_longer_than(std::chrono::nanoseconds time) const noexcept;
  void leave_readable() noexcept;

  fork_mark fork_mark_;
  std::shared_ptr<wake_signal> signal_;
  std::shared_ptr<worker_link> link_;
  waiter_kind asked_;
  std::unique_ptr<detail::waiter> waiter_;
  std::string fallback_;
  bool may_be_replaced_ = false;
  const std::chrono::nanoseconds budget_time_;
  const bool single_;

  std::vector<std::shared_ptr<pump_core>> slots_;  // by arming::slot; null where free
  std::vector<std::uint32_t> free_slots_;
  std::unordered_set<const datagram_socket*> sockets_;  // of the pumps in slots_
  std::size_t serving_ = 0;
  std::uint32_t arms_ = 0;
  std::vector<std::shared_ptr<pump_core>> ready_;
  std::vector<std::shared_ptr<pump_core>> taking_turns_;  // ready_ as serve() found it; null where removed meanwhile
  std::vector<std::shared_ptr<pump_core>> full_;
  struct pausing_pump {
    std::shared_ptr<pump_core> pump;
    clock::time_point until;
  };
  std::vector<pausing_pump> pausing_;
  std::vector<firing> fired_;

  std::shared_ptr<std::byte[]> buffer_;  // never touched before it is received into: costs no memory till then
  std::size_t buffer_size_ = 0;
  datagram scratch_;
  std::optional<std::thread::id> owner_;
  bool inside_ = false;
  sleeper sleeper_ = sleeper::nobody_yet;
  bool left_readable_ = false;    // wake_signal is notified and nobody has cleared it
  std::error_code error_;         // why the group as a whole is out of service
  std::error_code last_failure_;  // of a pump
  std::atomic<bool> stop_all_requested_{false}, stop_one_requested_{false};
  bool told_to_stop_ = false;  // by the pool
};

}  // namespace udppump::detail
