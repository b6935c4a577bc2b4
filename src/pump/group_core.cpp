#include "pump/group_core.hpp"

#include <poll.h>

#include <algorithm>
#include <utility>

#include "pump/thread_end.hpp"
#include "sys/failure.hpp"
#include "wait/wait_set.hpp"

namespace udppump::detail {

namespace {

/// Keeps "no limit" from overflowing the clock.
constexpr std::chrono::hours longest_budget{24};
/// A dispatch looks again at what came while it armed, this often; then the loop has its turn.
constexpr int most_passes = 3;

}  // namespace

group_core::group_core(waiter_kind kind, std::chrono::nanoseconds budget_time, bool single)
    : group_core{kind, budget_time, single, std::make_shared<wake_signal>(), nullptr} {}

group_core::group_core(waiter_kind kind, std::chrono::nanoseconds budget_time, std::shared_ptr<wake_signal> signal,
                       std::shared_ptr<worker_link> link)
    : group_core{kind, budget_time, false, std::move(signal), std::move(link)} {}

group_core::group_core(waiter_kind kind, std::chrono::nanoseconds budget_time, bool single,
                       std::shared_ptr<wake_signal> signal, std::shared_ptr<worker_link> link)
    : signal_{std::move(signal)},
      errands_{std::move(link)},
      asked_{asked_waiter(kind)},
      chosen_{choose_waiter(
          asked_, errands_.link() || asked_ == waiter_kind::epoll ? sleeper::wait : sleeper::event_loop, signal_)},
      budget_time_{std::min<std::chrono::nanoseconds>(budget_time, longest_budget)},
      single_{single} {
  tell_waiter();
}

void group_core::tell_waiter() noexcept {
  if (const auto& link = errands_.link()) link->waits_with(chosen_.waiter->kind(), chosen_.fallback);
}

group_core::~group_core() {
  if (guard_.mark().in_child()) chosen_.waiter->abandon();
}

std::error_code group_core::refusal() {
  const auto refused = guard_.refusal();
  if (!refused) {
    if (guard_.take()) tell_at_thread_end(weak_from_this());
  } else if (guard_.mark().in_child()) {
    pumps_.for_each([this](member& one) {
      if (guard_.mark().in_child()) one.pump.fail(errc::made_before_fork);  // on_error may call after_fork()
    });
  }
  return refused;
}

template <class Loop>
std::error_code group_core::enter(Loop loop) {
  if (const auto refused = refusal()) return refused;
  struct presence {
    entry_guard& guard;
    explicit presence(entry_guard& entered) noexcept : guard{entered} { guard.enter(); }
    ~presence() { guard.leave(); }
  } const inside{guard_};
  try {
    return loop();
  } catch (...) {
    signal_->notify();
    throw;
  }
}

std::error_code group_core::dispatch() {
  if (guard_.is_nested()) {
    signal_->clear();  // or the handler's loop would spin; whoever called the handler looks at everything afterwards
    hushed_ = true;
    return {};
  }
  return enter([this] { return dispatch_once(); });
}
std::error_code group_core::run() {
  return enter([this] { return run_until_stopped(); });
}

void group_core::sleep_in(sleeper who) {
  if (sleeper_ == who) return;
  sleeper_ = who;
  if (!chosen_.suits(who)) {
    try {
      auto chosen = choose_waiter(asked_, who, signal_);
      pumps_.for_each([this](member& one) {
        if (!one.armed) return;
        disarm(one);
        pumps_.make_ready(one);
      });
      chosen_ = std::move(chosen);
      tell_waiter();
    } catch (const std::system_error& refused) {
      return fail_all(refused.code());
    }
  }
  if (const auto failed = chosen_.waiter->serve(who)) replace_waiter(failed);
}

std::error_code group_core::dispatch_once() {
  const auto until = clock::now() + budget_time_;
  sleep_in(sleeper::event_loop);
  if (gather(gathering::what_fired)) return error_;
  for (int pass = 0; pass < most_passes; ++pass) {
    if (!serve(until)) return errc::made_before_fork;
    if (pumps_.size() == 0) errands_.all_stopped();
    if (pumps_.has_ready()) break;
    if (gather(gathering::what_is_there)) return error_;
    if (pumps_.has_ready()) {
      if (clock::now() >= until) break;
      continue;
    }
    if (edge_triggered_) return error_;  // what comes from here on is a new edge
    signal_->clear();
    if (!has_news()) return error_;
    if (gather(gathering::what_is_there)) return error_;
  }
  if (pumps_.has_ready() || has_news()) signal_->notify();  // also if it is readable: a new edge
  return error_;
}

std::error_code group_core::run_until_stopped() {
  for (;;) {
    sleep_in(sleeper::wait);  // anew after after_fork() in a handler
    if (pumps_.size() == 0) return error_ ? error_ : last_failure_;
    if (gather(pumps_.has_ready() ? gathering::what_is_there : gathering::what_comes)) return error_;
    if (!serve(clock::now() + budget_time_)) return errc::made_before_fork;
    if (std::exchange(hushed_, false)) signal_->notify();
  }
}

std::error_code group_core::gather(gathering how) {
  auto& waiter = *chosen_.waiter;
  finish_if_may();
  if (how == gathering::what_comes && pumps_.has_ready()) how = gathering::what_is_there;
  if (how == gathering::what_comes) {
    take_fired(waiter.wait(fired_));
  } else if (how == gathering::what_is_there) {
    take_fired(waiter.collect(fired_));
  } else if (const member* only = single_ ? pumps_.only() : nullptr; only && only->armed && waiter.only_one_fired()) {
    note({only->armed_as, 0});  // the completion can wait until arming needs a system call anyway
  } else if (waiter.pending()) {
    take_fired(waiter.collect(fired_));
  }
  if (error_) return error_;

  const bool all = stop_all_requested_.load(std::memory_order_relaxed) &&
                   stop_all_requested_.exchange(false, std::memory_order_acquire);
  const bool some = stop_one_requested_.load(std::memory_order_relaxed) &&
                    stop_one_requested_.exchange(false, std::memory_order_acquire);
  if (some) {
    pumps_.for_each([this](member& one) {
      if (one.stop_requested.load(std::memory_order_relaxed)) let_go(one);
    });
  }
  if (const bool ordered = errands_.stop_ordered(); all || ordered) begin_stop();
  if (errands_.look_ordered()) {
    pumps_.for_each([this](member& one) {
      heed_lanes(one);
      pumps_.make_ready(one);
    });
  }
  if (pumps_.recall_full()) errands_.full(false);
  if (pumps_.has_paused()) wake_for_first_pause();
  return error_;
}

void group_core::take_fired(std::error_code failed) {
  for (std::size_t next = 0; next < fired_.size(); ++next) note(fired_[next]);
  fired_.clear();
  if (failed) replace_waiter(failed);
}

void group_core::note(const firing& what) {
  member* const one = pumps_.at(what.which.slot);
  if (one == nullptr || one->pump.over()) return;
  const bool has_queued_error = what.events > 0 && (what.events & POLLERR) != 0;
  if (has_queued_error) one->pump.note_queued_error();
  if (one->armed && what.which == one->armed_as) {
    one->armed = false;
    one->pump.note_wakeup();
    if (what.events < 0 && what.events != -EBADF) return pause(*one, refusal_pause);  // receiving may not be refused
    pumps_.make_ready(*one);
  } else if (has_queued_error) {
    pumps_.make_ready(*one);
  }
}

/// A wake-up may have been spent on this pump, and the datagram would wait until the next one comes for somebody else.
/// So it has a last turn; settle() then removes it.
void group_core::let_go(member& one) {
  if (one.is_withheld) return remove(one);
  disarm(one);
  pumps_.unlist(one);
  one.leaving = true;
  pumps_.make_ready(one);
}

void group_core::begin_stop() {
  is_ending_ = true;
  pumps_.for_each([this](member& one) {
    if (one.pump.options().role == pump_role::answers) return;
    if (!one.watch) awaited_.push_back(one.pump.tickets());
    let_go(one);
  });
  for (const auto& tickets : awaited_) tickets->await();
  finish_if_may();
}

bool group_core::may_finish() const noexcept {
  return is_ending_ &&
         !pumps_.find([](const member& one) { return !one.watch && one.pump.options().role == pump_role::work; }) &&
         std::ranges::all_of(awaited_, [](const auto& tickets) { return tickets->out() == 0; });
}

void group_core::finish_if_may() {
  if (!may_finish()) return;
  is_ending_ = false;
  awaited_.clear();
  pumps_.for_each([this](member& one) { let_go(one); });
}

/// The pool may keep its lane for other workers from now on, or no more.
void group_core::heed_lanes(member& one) noexcept {
  const bool is_withheld = !one.watch && errands_.link()->withholds(one.pump.socket());
  if (is_withheld == one.is_withheld || one.leaving) return;
  one.is_withheld = is_withheld;
  if (!is_withheld) return;
  disarm(one);
  pumps_.unlist(one);
}

void group_core::wake_for_first_pause() {
  const auto now = clock::now();
  pumps_.recall_paused(now);
  if (!pumps_.has_paused()) return;
  const auto left = pumps_.first_pause_end() - now;
  chosen_.waiter->wake_after(std::max<std::chrono::nanoseconds>(left, std::chrono::microseconds{1}));
}

bool group_core::has_news() const noexcept {
  return chosen_.waiter->pending() || stop_all_requested_.load(std::memory_order_acquire) ||
         stop_one_requested_.load(std::memory_order_acquire) || may_finish() || errands_.has_news() ||
         pumps_.has_full_with_room();
}

/// The kernel gave a ring or an epoll but refuses to work with it: a sandbox that was closed later, for example. If
/// nobody insisted on it, another takes over and nothing is lost, since every socket is looked at again.
void group_core::replace_waiter(std::error_code why) {
  const auto refused_kind = chosen_.waiter->kind();
  const bool ring = refused_kind == waiter_kind::uring;
  if (!chosen_.may_be_replaced || (!ring && refused_kind != waiter_kind::epoll)) return fail_all(why);
  for (const auto next : {waiter_kind::uring, waiter_kind::thread, waiter_kind::poll}) {
    if (next == refused_kind) continue;
    try {
      auto chosen = choose_waiter(next, sleeper_, signal_);
      chosen.may_be_replaced = true;
      chosen.chosen_for = chosen_.chosen_for;
      chosen.fallback = chosen_.fallback + (ring ? "io_uring_enter; " : "epoll_wait; ") + cure_of(why.value()) + ": " +
                        why.message() + "; using " + std::string{to_string(next)};
      chosen_ = std::move(chosen);
      tell_waiter();
      pumps_.for_each([this](member& one) {
        if (std::exchange(one.armed, false)) pumps_.make_ready(one);
      });
      if (const auto failed = chosen_.waiter->serve(sleeper_)) replace_waiter(failed);
      return;
    } catch (const std::system_error& refused) {
      why = refused.code();
    }
  }
  fail_all(why);
}

void group_core::fail_all(std::error_code why) {
  error_ = why;
  pumps_.for_each([this, why](member& one) { fail(one, why); });
}

void group_core::fail(member& one, std::error_code why) {
  struct removal {  // even if on_error throws
    group_core& group;
    member& one;
    ~removal() { group.remove(one); }
  } const last{*this, one};
  one.pump.fail(why);
}

void group_core::on_thread_end() noexcept {
  pumps_.for_each([this](member& one) { disarm(one); });
  guard_.thread_ended();
}

void group_core::request_stop() noexcept {
  stop_all_requested_.store(true, std::memory_order_release);
  signal_->notify();
}

void group_core::request_stop(member& one) noexcept {
  one.stop_requested.store(true, std::memory_order_relaxed);
  stop_one_requested_.store(true, std::memory_order_release);
  signal_->notify();
}

void group_core::after_fork() {
  if (!guard_.mark().in_child()) return;
  auto signal = std::make_shared<wake_signal>();
  auto chosen = choose_waiter(asked_, sleeper_ == sleeper::nobody_yet ? chosen_.chosen_for : sleeper_, signal);
  pumps_.for_each([](member& one) {
    if (one.watch) one.watch->after_fork();
  });
  errands_.after_fork();
  chosen_.waiter->abandon();
  chosen_ = std::move(chosen);
  signal_ = std::move(signal);
  guard_.after_fork();
  sleeper_ = sleeper::nobody_yet;
  if (error_ == errc::made_before_fork) error_.clear();
  is_ending_ = false;
  awaited_.clear();
  pumps_.for_each([this](member& one) { one.pump.after_fork(signal_); });
  pumps_.start_again();
  signal_->notify();
}

}  // namespace udppump::detail
