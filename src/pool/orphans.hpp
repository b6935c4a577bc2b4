#pragma once

#include <sys/types.h>

#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "pool/pool_log.hpp"
#include "udppump/descriptor.hpp"

namespace udppump::detail {

/// What workers started, and left when they ended: this process adopts it, whatever group or session it is in, and ends
/// it. Only for a process whose children are all the pool's (pool_options::end_orphans).
class orphans {
 public:
  using clock = std::chrono::steady_clock;

  /// Children that are there already are nobody's here.
  explicit orphans(const pool_log& log);
  ~orphans();
  orphans(const orphans&) = delete;
  orphans& operator=(const orphans&) = delete;

  /// A worker has ended, or was killed, that led the session of its own number. Who is still in that was asked to end
  /// as well, and has until then.
  void worker_ended(pid_t session, clock::time_point until);
  /// A worker that was killed and does not end: it is left.
  void leave(pid_t worker) { refused_.insert(worker); }
  /// Nobody is given time any more.
  void end_patience() noexcept {
    is_patient_ = false;
    if (hunts_) next_ = clock::now();
  }
  /// No worker is left; once. What cannot be ended within a few seconds is then told of, and left.
  void end_all(clock::time_point now);

  /// Takes the status of those that have ended, and ends those whose worker has. `known` are children of this process
  /// that are none of them: workers, and others that it started. `living`, the sessions that are left alone: of these,
  /// those that were not killed.
  void look(std::vector<pid_t> known, std::vector<pid_t> living, clock::time_point now);
  clock::time_point next() const noexcept { return next_; }
  bool any() const noexcept { return hunts_; }
  /// Somebody may still be in the session of a worker that has ended, and is given time or about to be killed.
  bool awaits(pid_t session) const noexcept { return ended_.contains(session) || late_.contains(session); }
  /// Some did not end in the time that they were given.
  bool any_was_late() const noexcept { return was_late_; }
  /// What was late at a reload, say, has nothing to do with a stop.
  void forget_late_ones_before() noexcept { was_late_ = false; }
  /// Which no worker should have.
  const std::vector<descriptor>& lists() const noexcept { return lists_; }

 private:
  enum class fate { spared, reaped, awaited, killed };
  fate decide(pid_t one, pid_t session, const std::vector<pid_t>& known, const std::vector<pid_t>& living);
  std::vector<pid_t> children() const;
  void forget_late_ones(clock::time_point now);
  void end_hunt(std::size_t left);

  const pool_log& log_;
  /// Of children, open for when no more can be opened, since a process of this user has lowered the limit (prlimit(2)).
  std::vector<descriptor> lists_;
  /// Process 1 adopts what others leave as well, and ends only what is in a worker's session; with its end the kernel
  /// kills all.
  const bool only_reaps_;
  std::set<pid_t> not_ours_;                  // never touched
  std::set<pid_t> refused_;                   // cannot be killed
  std::map<pid_t, clock::time_point> ended_;  // sessions of workers that have, and how long others in them may stay
  std::set<pid_t> awaited_;                   // those of them in which somebody was, when it was last looked
  std::set<pid_t> late_;                      // those in which somebody was when their time was over
  std::set<pid_t> killed_;                    // when it was last looked
  std::size_t all_killed_ = 0;                // in this hunt
  bool is_patient_ = true;
  bool hunts_ = false;
  bool was_late_ = false;
  std::chrono::milliseconds pause_{1};
  clock::time_point next_ = clock::time_point::max();
  std::optional<clock::time_point> gives_up_at_ = {};
};

}  // namespace udppump::detail
