#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <unordered_set>
#include <utility>
#include <vector>

#include "pump/pump_core.hpp"
#include "socket/interface_watch.hpp"
#include "wait/waiter.hpp"

namespace udppump::detail {

/// A pump and its place in the group. Lives as long as anyone is inside it, so that a handler may destroy the pump.
struct member {
  template <class... Arguments>
  explicit member(Arguments&&... arguments) : pump{std::forward<Arguments>(arguments)...} {}

  pump_core pump;
  /// Any thread, and signal handlers.
  std::atomic<bool> stop_requested{false};
  /// What was armed last; its slot is the member's.
  arming armed_as{0, 0};
  /// It was armed and has not fired yet.
  bool armed = false;
  /// It is in one of the roster's lists.
  bool listed = false;
  /// It was asked to stop, and has its last turn.
  bool leaving = false;
  /// Its socket is of a lane that is kept for other workers: it has no turn and is never armed.
  bool is_withheld = false;
  /// Hears of the interfaces that the pump's socket stands on, and goes with it; null if it stands on none.
  std::shared_ptr<member> watcher;
  /// This is such a watcher, which serves the watch's notices and does not count as a pump; else null.
  std::shared_ptr<interface_watch> watch;
};

/// The pumps of a group and where each one is: ready (has or may have datagrams), armed in the waiter, full (waits for
/// a ticket), pausing, or over. The lists hold only members that are in a slot.
class roster {
 public:
  using clock = std::chrono::steady_clock;
  class round;

  /// It is ready at once. Throws std::invalid_argument if there is a pump on its socket.
  void add(std::shared_ptr<member> joining);
  /// Takes it out of all lists. Returns it, so that the caller decides how long it lives; null if it is not here. The
  /// one whose turn it is lives until the next turn in any case.
  std::shared_ptr<member> remove(member& leaving) noexcept;

  /// Pumps that are not over; watchers do not count.
  std::size_t size() const noexcept { return size_; }
  /// Null if the slot is free.
  member* at(std::uint32_t slot) const noexcept { return slot < slots_.size() ? slots_[slot].get() : nullptr; }
  /// The one that there has been since the beginning, if there never was another; else null.
  member* only() const noexcept { return slots_.size() == 1 ? slots_[0].get() : nullptr; }
  /// Calls `visit(member&)` for each, also if that adds or removes some.
  template <class Visit>
  void for_each(Visit visit) const {
    for (std::size_t slot = 0; slot < slots_.size(); ++slot) {
      if (const auto kept = slots_[slot]) visit(*kept);
    }
  }
  /// The first that `matches`, or null.
  template <class Predicate>
  std::shared_ptr<member> find(Predicate matches) const {
    for (const auto& each : slots_) {
      if (each && matches(*each)) return each;
    }
    return nullptr;
  }

  /// Does nothing if it is listed already, withheld, or over.
  void make_ready(member& one);
  /// These two do nothing if it is listed already; the result says whether it was not.
  bool make_full(member& one);
  bool pause(member& one, clock::time_point until);
  /// Out of its list, whichever that is.
  void unlist(member& one) noexcept;

  /// Whether a pump of a later lane has been here.
  bool has_lanes() const noexcept { return has_lanes_; }
  bool has_ready() const noexcept { return !ready_.empty(); }
  bool has_full_with_room() const noexcept;
  /// Makes ready what was full and has room; whether there was any.
  bool recall_full();
  /// Makes ready those whose pause is over by `now`.
  void recall_paused(clock::time_point now);
  bool has_paused() const noexcept { return !paused_.empty(); }
  /// When the first pause ends; there must be one.
  clock::time_point first_pause_end() const noexcept;
  bool has_pause_beyond(clock::time_point until) const noexcept;
  /// All that are not over are ready, and nobody is armed any more.
  void start_again();

 private:
  struct pausing {
    member* one;
    clock::time_point until;
  };

  std::vector<std::shared_ptr<member>> slots_;  // by arming::slot; null if free
  std::vector<std::uint32_t> free_slots_;
  std::unordered_set<const datagram_socket*> sockets_;  // of the pumps in slots_
  std::size_t size_ = 0;
  bool has_lanes_ = false;
  std::vector<member*> ready_;
  std::vector<member*> taking_turns_;  // ready_ as a round found it; null if removed meanwhile
  const member* in_turn_ = nullptr;
  std::shared_ptr<member> removed_;  // it, if it was removed
  std::vector<member*> full_;
  std::vector<pausing> paused_;
};

/// A turn for each pump that is ready when the round begins, those of the first lanes first. However it ends, pumps
/// that had no turn go to the front of those that are ready.
class roster::round {
 public:
  explicit round(roster& pumps) noexcept;
  ~round();
  round(const round&) = delete;
  round& operator=(const round&) = delete;

  /// Whose turn it is, out of all lists; null after the last.
  member* next() noexcept;
  bool is_last() const noexcept { return next_ >= pumps_.taking_turns_.size(); }

 private:
  roster& pumps_;
  std::size_t next_ = 0;
};

}  // namespace udppump::detail
