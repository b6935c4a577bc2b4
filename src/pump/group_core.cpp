#include "pump/group_core.hpp"

#include <poll.h>

#include <algorithm>
#include <exception>
#include <iterator>
#include <stdexcept>
#include <utility>

#include "sys/failure.hpp"
#include "wait/wait_set.hpp"

namespace udppump::detail {

namespace {

/// Keeps "no limit" from overflowing the clock.
constexpr std::chrono::hours longest_budget{24};
/// A dispatch looks again at what came while it armed, this often; then the loop has its turn.
constexpr int most_passes = 3;

/// Tells the groups of a thread that it ends. A ring's polls outlive the thread that submitted them, and nobody else
/// may cancel them (SINGLE_ISSUER): left behind, they would swallow wake-ups meant for other workers.
class thread_end {
 public:
  ~thread_end() {
    for (const auto& one : groups_) {
      if (const auto group = one.lock()) group->on_thread_end();
    }
  }
  void tell(std::weak_ptr<group_core> group) {
    std::erase_if(groups_, [](const auto& one) { return one.expired(); });
    groups_.push_back(std::move(group));
  }

 private:
  std::vector<std::weak_ptr<group_core>> groups_;
};

}  // namespace

/// Marks that dispatch() or run() is on the stack. When an exception leaves, the wake_signal is left readable, so that
/// the next dispatch() goes on.
class group_core::inside {
 public:
  explicit inside(group_core& group) noexcept : group_{group} { group_.inside_ = true; }
  ~inside() {
    group_.inside_ = false;
    if (std::uncaught_exceptions() > before_) group_.leave_readable();
  }
  inside(const inside&) = delete;
  inside& operator=(const inside&) = delete;

 private:
  group_core& group_;
  int before_ = std::uncaught_exceptions();
};

group_core::group_core(waiter_kind kind, std::chrono::nanoseconds budget_time, bool single)
    : group_core{kind, budget_time, single, std::make_shared<wake_signal>(), nullptr} {}

group_core::group_core(waiter_kind kind, std::chrono::nanoseconds budget_time, std::shared_ptr<wake_signal> signal,
                       std::shared_ptr<worker_link> link)
    : group_core{kind, budget_time, false, std::move(signal), std::move(link)} {}

group_core::group_core(waiter_kind kind, std::chrono::nanoseconds budget_time, bool single,
                       std::shared_ptr<wake_signal> signal, std::shared_ptr<worker_link> link)
    : signal_{std::move(signal)},
      link_{std::move(link)},
      asked_{kind},
      budget_time_{std::min<std::chrono::nanoseconds>(budget_time, longest_budget)},
      single_{single} {
  made_waiter made = make_waiter(kind, signal_);
  waiter_ = std::move(made.made);
  fallback_ = std::move(made.fallback);
  may_be_replaced_ = made.may_be_replaced;
}

group_core::~group_core() {
  if (fork_mark_.in_child()) waiter_->abandon();
}

void group_core::add(const std::shared_ptr<pump_core>& pump) {
  if (owner_ && *owner_ != std::this_thread::get_id()) {
    throw std::system_error{make_error_code(errc::wrong_thread),
                            "pump: a group that is served takes no pump from elsewhere"};
  }
  if (!sockets_.insert(&pump->socket()).second) {
    throw std::invalid_argument{"pump: the group has a pump on this socket already"};
  }
  grow_buffer(pump->receive_size());
  if (free_slots_.empty()) {
    slots_.push_back(nullptr);
    free_slots_.reserve(slots_.capacity());  // remove() must not allocate
    free_slots_.push_back(static_cast<std::uint32_t>(slots_.size() - 1));
  }
  queue(pump);
  pump->armed_as = {free_slots_.back(), 0};
  slots_[free_slots_.back()] = pump;
  free_slots_.pop_back();
  ++serving_;
  leave_readable();
}

void group_core::remove(pump_core& pump) noexcept {
  const auto slot = pump.armed_as.slot;
  if (slot >= slots_.size() || slots_[slot].get() != &pump) return;
  const auto kept = std::move(slots_[slot]);
  free_slots_.push_back(slot);
  sockets_.erase(&pump.socket());
  --serving_;
  pump.end();
  disarm(pump);
  unqueue(pump);
  if (pump.failure()) (single_ ? error_ : last_failure_) = pump.failure();
}

void group_core::grow_buffer(std::size_t size) {
  if (size <= buffer_size_) return;
  buffer_ = std::shared_ptr<std::byte[]>{new std::byte[size]};
  buffer_size_ = size;
}

void group_core::queue(const std::shared_ptr<pump_core>& pump) {
  if (pump->queued || pump->over()) return;
  ready_.push_back(pump);
  pump->queued = true;
}

void group_core::unqueue(const pump_core& pump) noexcept {
  if (!pump.queued) return;
  const auto same = [&pump](const std::shared_ptr<pump_core>& one) { return one.get() == &pump; };
  std::erase_if(ready_, same);
  std::replace_if(taking_turns_.begin(), taking_turns_.end(), same, nullptr);  // serve() walks through these
  std::erase_if(full_, same);
  std::erase_if(pausing_, [&same](const pausing_pump& one) { return same(one.pump); });
}

void group_core::disarm(pump_core& pump) noexcept {
  if (!pump.armed) return;
  pump.armed = false;
  if (!fork_mark_.in_child()) waiter_->disarm(pump.armed_as, pump.socket().fd());
}

void group_core::leave_readable() noexcept {
  if (left_readable_) return;
  left_readable_ = true;
  signal_->notify();
}

std::error_code group_core::may_enter() {
  if (fork_mark_.in_child()) {
    for (std::size_t slot = 0; slot < slots_.size(); ++slot) {
      if (const auto pump = slots_[slot]; pump && fork_mark_.in_child()) pump->fail(errc::made_before_fork);
    }
    return errc::made_before_fork;
  }
  if (inside_) return errc::reentrant;
  if (!owner_) {
    thread_local thread_end ending;
    ending.tell(weak_from_this());
    owner_ = std::this_thread::get_id();
  }
  if (*owner_ != std::this_thread::get_id()) return errc::wrong_thread;
  return {};
}

std::error_code group_core::dispatch() {
  if (const auto refused = may_enter()) return refused;
  const inside guard{*this};
  const auto until = clock::now() + budget_time_;
  if (sleeper_ != sleeper::event_loop) {
    sleeper_ = sleeper::event_loop;
    if (const auto failed = waiter_->serve(sleeper_)) replace_waiter(failed);
  }
  if (single_ && !slots_.empty() && slots_[0] && slots_[0]->armed && waiter_->only_one_fired()) {
    // Which one is known, so the completion can wait until arming needs a system call anyway.
    note({slots_[0]->armed_as, 0});
  } else if (waiter_->pending()) {
    if (collect(false)) return error_;
  }
  recheck();
  for (int pass = 0; pass < most_passes; ++pass) {
    serve(until);
    if (fork_mark_.in_child()) return errc::made_before_fork;
    if (link_ && serving_ == 0) finish();
    if (!ready_.empty()) break;
    if (collect(false)) return error_;
    recheck();
    if (!ready_.empty()) {
      if (clock::now() >= until) break;
      continue;
    }
    signal_->clear();
    left_readable_ = false;
    if (!has_news()) return error_;
    if (collect(false)) return error_;
    recheck();
  }
  if (!ready_.empty() || has_news()) leave_readable();
  return error_;
}

std::error_code group_core::run() {
  if (const auto refused = may_enter()) return refused;
  const inside guard{*this};
  for (;;) {
    if (sleeper_ != sleeper::wait) {  // at first, and after after_fork() in a handler
      sleeper_ = sleeper::wait;
      if (const auto failed = waiter_->serve(sleeper_)) replace_waiter(failed);
    }
    recheck();
    if (serving_ == 0) return error_ ? error_ : last_failure_;
    serve(clock::now() + budget_time_);
    if (fork_mark_.in_child()) return errc::made_before_fork;
    if (serving_ == 0 || sleeper_ != sleeper::wait) continue;
    left_readable_ = false;  // wait() may clear it
    if (collect(ready_.empty())) return error_;
  }
}

void group_core::serve(clock::time_point until) {
  if (link_) {
    link_->serving();
    if (link_->has_offers()) serve_offers();
    if (fork_mark_.in_child()) return;
  }
  taking_turns_.swap(ready_);
  // However this ends, who had no turn comes first the next time.
  struct first_next_time {
    group_core& group;
    std::size_t next = 0;
    ~first_next_time() {
      auto& left = group.taking_turns_;
      left.erase(left.begin(), left.begin() + static_cast<std::ptrdiff_t>(next));
      std::erase(left, nullptr);
      left.insert(left.end(), std::make_move_iterator(group.ready_.begin()),
                  std::make_move_iterator(group.ready_.end()));
      left.swap(group.ready_);
      left.clear();
    }
  } turns{*this};

  while (turns.next < taking_turns_.size()) {
    const auto pump = std::move(taking_turns_[turns.next++]);
    if (!pump) continue;
    pump->queued = false;
    const auto buffer = buffer_;  // a handler may make a pump with a larger one
    const std::span<std::byte> room{buffer.get(), buffer_size_};
    try {
      settle(pump, pump->turn(room, scratch_, fork_mark_));
    } catch (...) {
      if (!fork_mark_.in_child() && !pump->queued) settle(pump, pump->resume());
      throw;
    }
    if (fork_mark_.in_child()) return;
    if (turns.next < taking_turns_.size() && clock::now() >= until) return;
  }
}

void group_core::settle(const std::shared_ptr<pump_core>& pump, turn_end end) {
  if (fork_mark_.in_child()) return;
  if (pump->over() || pump->leaving) return remove(*pump);
  switch (end) {
    case turn_end::over:
      return remove(*pump);
    case turn_end::more:
      return queue(pump);
    case turn_end::refused:
      return pause(pump, refusal_pause);
    case turn_end::spare:
      // The waiter's alarm may be set for longer than that.
      if (!waits_longer_than(pump->options().stand_by)) return pause(pump, pump->options().stand_by);
      break;
    case turn_end::full:
      disarm(*pump);
      if (pump->queued) return;
      full_.push_back(pump);
      pump->queued = true;
      if (link_) link_->full(true);
      return;
    case turn_end::emptied:
      break;
  }
  if (pump->armed) return;
  pump->armed_as.turn = ++arms_;
  const auto failed = waiter_->arm(pump->armed_as, pump->socket().fd());
  if (!failed) {
    pump->armed = true;
  } else if (failed == std::errc::not_enough_memory || failed == std::errc::no_space_on_device ||
             failed == std::errc::device_or_resource_busy) {
    pause(pump, refusal_pause);
    pump->report_refusal(failed);
  } else {
    fail(pump, failed);
  }
}

void group_core::fail(const std::shared_ptr<pump_core>& pump, std::error_code why) {
  struct removal {  // even if on_error throws
    group_core& group;
    pump_core& pump;
    ~removal() { group.remove(pump); }
  } const last{*this, *pump};
  pump->fail(why);
}

void group_core::pause(const std::shared_ptr<pump_core>& pump, std::chrono::nanoseconds time) {
  disarm(*pump);
  if (pump->queued) return;
  pausing_.push_back({pump, clock::now() + time});
  pump->queued = true;
  waiter_->wake_after(time);
}

bool group_core::waits_longer_than(std::chrono::nanoseconds time) const noexcept {
  if (pausing_.empty()) return false;
  const auto until = clock::now() + time;
  return std::ranges::any_of(pausing_, [until](const pausing_pump& one) { return one.until > until; });
}

std::error_code group_core::collect(bool block) {
  const auto failed = block ? waiter_->wait(fired_) : waiter_->collect(fired_);
  for (std::size_t at = 0; at < fired_.size(); ++at) note(fired_[at]);
  fired_.clear();
  if (failed) replace_waiter(failed);
  return error_;
}

void group_core::note(const firing& one) {
  const auto pump = one.which.slot < slots_.size() ? slots_[one.which.slot] : nullptr;
  if (!pump || pump->over()) return;
  if (one.events > 0 && (one.events & POLLERR) != 0) pump->note_queued_error();
  if (pump->armed && one.which == pump->armed_as) {
    pump->armed = false;
    pump->note_wakeup();
    if (one.events < 0 && one.events != -EBADF)
      return pause(pump, refusal_pause);  // waiting was refused, receiving may be not
    queue(pump);
  } else if (one.events > 0 && (one.events & POLLERR) != 0) {
    queue(pump);
  }
}

void group_core::recheck() {
  const bool all = stop_all_requested_.load(std::memory_order_relaxed) &&
                   stop_all_requested_.exchange(false, std::memory_order_acquire);
  const bool some = stop_one_requested_.load(std::memory_order_relaxed) &&
                    stop_one_requested_.exchange(false, std::memory_order_acquire);
  if (all || some) {
    for (const auto& pump : slots_) {
      if (pump && (all || pump->stop_requested.load(std::memory_order_relaxed))) let_leave(pump);
    }
  }
  if (link_) heed_pool();
  std::erase_if(full_, [this](const std::shared_ptr<pump_core>& pump) {
    if (!pump->has_room()) return false;
    if (link_) {
      link_->look_for_offers();
      link_->full(false);
    }
    pump->queued = false;
    queue(pump);
    return true;
  });
  if (pausing_.empty()) return;
  const auto now = clock::now();
  std::erase_if(pausing_, [this, now](const pausing_pump& one) {
    if (one.until > now) return false;
    one.pump->queued = false;
    queue(one.pump);
    return true;
  });
  if (pausing_.empty()) return;
  const auto first = std::ranges::min(pausing_, {}, &pausing_pump::until);
  waiter_->wake_after(std::max<std::chrono::nanoseconds>(first.until - now, std::chrono::microseconds{1}));
}

void group_core::heed_pool() {
  if (link_->told_to_stop() && !std::exchange(told_to_stop_, true)) {
    link_->stopping();
    for (const auto& pump : slots_) {
      if (pump) let_leave(pump);
    }
  }
  if (!link_->told_to_look()) return;
  for (const auto& pump : slots_) {
    if (pump) queue(pump);
  }
}

/// Datagrams whose worker died come before new ones.
void group_core::serve_offers() {
  const auto serves = [this](int descriptor) -> std::shared_ptr<pump_core> {
    for (const auto& pump : slots_) {
      if (pump && !pump->over() && pump->has_room() && pump->socket().fd() == descriptor) return pump;
    }
    return nullptr;
  };
  while (kept_datagram* const kept = link_->take_offer(serves)) {
    const auto pump = serves(link_->descriptor(*kept));
    const turn_end end = pump->turn_with(*kept, scratch_, fork_mark_);
    if (fork_mark_.in_child()) return;
    if (end == turn_end::over) remove(*pump);
  }
}

/// The pool told the worker to stop, and nothing is left to serve.
void group_core::finish() {
  if (!told_to_stop_) return;
  if (const auto call = std::exchange(link_->on_stop, nullptr)) call();
}

/// A wake-up may have been spent on this pump, and the datagram would wait until the next one comes for somebody else.
/// So it has a last turn; settle() then removes it.
void group_core::let_leave(const std::shared_ptr<pump_core>& pump) {
  disarm(*pump);
  unqueue(*pump);
  pump->queued = false;
  pump->leaving = true;
  queue(pump);
}

bool group_core::has_news() const noexcept {
  return waiter_->pending() || stop_all_requested_.load(std::memory_order_acquire) ||
         stop_one_requested_.load(std::memory_order_acquire) ||
         (link_ && (link_->has_news() || (link_->told_to_stop() && !told_to_stop_))) ||
         std::any_of(full_.begin(), full_.end(), [](const auto& pump) { return pump->has_room(); });
}

/// The kernel gave a ring but refuses to work with it: a sandbox that was closed later, for example. Where nobody
/// insisted on the ring, the thread takes over and nothing is lost, since every socket is looked at again.
void group_core::replace_waiter(std::error_code why) {
  if (may_be_replaced_ && waiter_->kind() == waiter_kind::uring) {
    may_be_replaced_ = false;
    try {
      waiter_ = make_waiter(waiter_kind::thread, signal_).made;
      fallback_ += "io_uring_enter: " + why.message() + "; using thread";
      static_cast<void>(waiter_->serve(sleeper_));
      for (const auto& pump : slots_) {
        if (!pump || !pump->armed) continue;
        pump->armed = false;
        queue(pump);
      }
      return;
    } catch (const std::system_error& refused) {
      why = refused.code();
    }
  }
  end_all(why);
}

void group_core::end_all(std::error_code why) {
  error_ = why;
  for (std::size_t slot = 0; slot < slots_.size(); ++slot) {
    if (const auto pump = slots_[slot]) fail(pump, why);
  }
}

void group_core::on_thread_end() noexcept {
  if (fork_mark_.in_child()) return;
  for (const auto& pump : slots_) {
    if (pump) disarm(*pump);
  }
  owner_ = std::thread::id{};  // nobody: the next thread may get the same id
}

void group_core::request_stop() noexcept {
  stop_all_requested_.store(true, std::memory_order_release);
  signal_->notify();
}

void group_core::request_stop(pump_core& pump) noexcept {
  pump.stop_requested.store(true, std::memory_order_relaxed);
  stop_one_requested_.store(true, std::memory_order_release);
  signal_->notify();
}

void group_core::after_fork() {
  if (!fork_mark_.in_child()) return;
  auto signal = std::make_shared<wake_signal>();
  made_waiter made = make_waiter(asked_, signal);
  link_.reset();  // the parent's
  waiter_->abandon();
  waiter_ = std::move(made.made);
  fallback_ = std::move(made.fallback);
  may_be_replaced_ = made.may_be_replaced;
  signal_ = std::move(signal);
  fork_mark_.renew();
  owner_.reset();
  sleeper_ = sleeper::nobody_yet;
  if (error_ == errc::made_before_fork) error_.clear();
  ready_.clear();
  std::fill(taking_turns_.begin(), taking_turns_.end(), nullptr);
  full_.clear();
  pausing_.clear();
  for (const auto& pump : slots_) {
    if (!pump) continue;
    pump->after_fork(signal_);
    pump->queued = false;
    queue(pump);
  }
  left_readable_ = false;
  leave_readable();
}

}  // namespace udppump::detail
