#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <vector>

#include "pool/launcher.hpp"

namespace udppump::detail {

/// The workers of a pool that were started and have not been seen to end. Keeps what is known of each; decides nothing.
class crew {
 public:
  using clock = std::chrono::steady_clock;

  struct member {
    std::size_t number, page;
    clock::time_point started;
    /// To serve, or to have stopped.
    clock::time_point deadline = {};
    bool serving = false;
    /// Of one that keeps no page: has told by other means that it serves.
    bool said_ready = false;
    clock::time_point serving_since = {};
    /// Was started by the reload under way, beside the one with its number that it is to replace.
    bool replaces = false;
    /// Of such a one: the other was told to stop.
    bool has_proven_itself = false;
    /// Was told to stop.
    bool stopping = false;
    /// Was told so twice: it is killed at once.
    bool hurried = false;
    bool killed = false;
    /// Was told to abort, or cannot be: it hung.
    bool hung = false;
    /// Of a program that says so: when it last said that it goes on.
    std::optional<clock::time_point> fed_at = {};
    /// How much of its limits it may use, of a thousand; 0: it was not drawn yet.
    unsigned share = 0;
    /// Its memory is not looked at before.
    clock::time_point weighed_from = {};
    /// Of one that was killed: when it should have ended.
    std::optional<clock::time_point> ends_by = {};
    std::unique_ptr<running_worker> worker = {};
  };

  /// All outlive it. `ready_after` is of workers that do not say themselves when they serve; not set if they do.
  crew(const launch_context& context, launcher& start, std::optional<std::chrono::milliseconds> ready_after)
      : context_{context}, start_{start}, ready_after_{ready_after} {}

  /// Throws std::system_error. What is returned stays where it is until it has ended.
  member& start(std::size_t number);
  void ask_to_stop(member& one) noexcept;
  /// All that were not told so, or were to be killed and live on.
  void ask_all_to_stop() noexcept;
  /// Nobody is given time any more.
  void end_patience(clock::time_point now) noexcept;
  /// Has all look at what was offered.
  void notify_all() const noexcept;

  /// Looks who has begun to serve; whether anybody did.
  bool note_serving(clock::time_point now) noexcept;
  struct dead_member {
    std::unique_ptr<member> who;
    worker_end end;
  };
  /// One that has ended, and is of the crew no more; its page is still its own.
  std::optional<dead_member> take_ended();
  /// Is over its deadline, was not killed for that yet, and did not serve or stop as it was to; null if there is none.
  member* late(clock::time_point now) const noexcept;
  /// Was killed, and has not ended in the time that this takes; null if there is none.
  member* undead(clock::time_point now) const noexcept;
  /// Of one that cannot be killed: nobody waits for it any more.
  void abandon(member& one) noexcept;

  /// The one with this number that was not told to stop, if there is one.
  member* serving_as(std::size_t number) const noexcept;
  std::size_t serving() const noexcept;
  bool empty() const noexcept { return members_.empty(); }
  clock::time_point next_deadline() const noexcept;
  const std::vector<std::unique_ptr<member>>& members() const noexcept { return members_; }
  worker_page& page_of(const member& one) const noexcept { return context_.shared.page(one.page); }

 private:
  bool is_bound(const member& one) const noexcept;

  const launch_context& context_;
  launcher& start_;
  const std::optional<std::chrono::milliseconds> ready_after_;
  std::vector<std::unique_ptr<member>> members_;
};

}  // namespace udppump::detail
