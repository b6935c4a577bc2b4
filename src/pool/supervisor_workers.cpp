// Workers start, serve, end and are replaced.
#include "pool/supervisor.hpp"

#include <algorithm>
#include <utility>

#include "pool/counted.hpp"
#include "pool/duration_text.hpp"
#include "pool/obituary.hpp"
#include "pool/worker_process.hpp"
#include "sys/sys_process.hpp"

namespace udppump::detail {

using std::chrono::milliseconds;

crew::member& supervisor::start(std::size_t number) {
  if (limits_) limits_->look(clock::now());  // it inherits them
  auto& own = parts_.context.parents_own = parts_.takes_over.own_descriptors();
  own.push_back(signal_fd_.fd());
  if (files_) own.push_back(files_->fd());
  if (orphans_) {
    for (const descriptor& list : orphans_->lists()) own.push_back(list.fd());
  }
  if (parts_.redelivers != nullptr && parts_.redelivers->file() >= 0) own.push_back(parts_.redelivers->file());
  if (parts_.notifies != nullptr) own.push_back(parts_.notifies->fd());
  if (parts_.pid != nullptr) own.push_back(parts_.pid->fd());
  if (parts_.door != nullptr) parts_.door->list(own);
  if (parts_.metrics != nullptr && parts_.metrics->fd() >= 0) own.push_back(parts_.metrics->fd());
  if (log_.own_descriptor() >= 0) own.push_back(log_.own_descriptor());
  for (const auto& one : crew_.members()) {
    one->worker->list_parents_own(own);
  }
  left_groups_.list(own);
  crew::member& started = crew_.start(number);
  if (number < places_.size()) places_[number].start_at.reset();
  return started;
}

/// From a worker's process, or another in its session. One that has ended by now cannot be told from a stranger.
void supervisor::hear_ready() {
  for (const auto& sender : parts_.notifies->take(clock::now())) {
    const pid_t session = sys::session_of(sender.pid);
    for (const auto& one : crew_.members()) {
      if (one->worker->pid() != sender.pid && one->worker->pid() != session) continue;
      one->said_ready |= sender.is_ready;
      if (sender.goes_on) one->fed_at = clock::now();
    }
  }
}

void supervisor::reap() {
  for (const pid_t ended : parts_.takes_over.reap()) {
    if (orphans_) orphans_->worker_ended(ended, clock::now());
  }
  while (const auto dead = crew_.take_ended()) bury(*dead);
  left_groups_.look();
  if (!orphans_) return;
  auto known = parts_.takes_over.executed();
  if (parts_.metrics != nullptr && parts_.metrics->pid() > 0) known.push_back(parts_.metrics->pid());
  auto living = parts_.takes_over.living();
  for (const auto& one : crew_.members()) {
    known.push_back(one->worker->pid());
    if (!one->killed) living.push_back(one->worker->pid());
  }
  orphans_->look(std::move(known), std::move(living), clock::now());
}

/// For what a worker leaves that has ended, or was killed: one of its own processes may trace it, and then it does not
/// end before that.
void supervisor::hunt_for(const crew::member& who, clock::time_point now) {
  if (!orphans_) return;
  clock::time_point until = now + options_.stop_timeout;
  // Who is in a program's group was told with it, to stop or to abort.
  if (parts_.start.keeps_pages()) {
    static_cast<void>(sys::kill(-who.worker->pid(), SIGTERM));
  } else if (who.stopping) {
    until = who.deadline;
  } else if (who.hung) {
    until = std::min(until, who.deadline);
  }
  orphans_->worker_ended(who.worker->pid(), until);
}

/// Of all workers, as none is left.
void supervisor::end_orphans() {
  if (!orphans_) return;
  orphans_->end_all(clock::now());
  while (orphans_->any()) go_round();
  if (orphans_->any_was_late()) set_result(pool_result::killed);
}

void supervisor::bury(const crew::dead_member& dead) {
  const crew::member& who = *dead.who;
  const auto now = clock::now();
  sockets_.look_soon(now);
  const std::uint64_t served = handled_by(crew_.page_of(who));
  errors_.look_at_last(who, crew_.page_of(who), now);
  std::string words;
  if (parts_.outputs != nullptr) words = parts_.outputs->last_words(who.worker->pid());
  if (!dead.end.words.empty() || (who.stopping && !dead.end.by_signal)) words = dead.end.words;
  auto [told, fields] = obituary_of(dead, words, served, now - who.started, parts_.start.keeps_pages());

  hunt_for(who, now);
  if (reload_ && orphans_ && who.stopping) {
    reload_->left.push_back({who.number, who.worker->pid(), who.deadline + killing_time});
  }
  const bool waits_for_another = parts_.redelivers != nullptr && parts_.redelivers->rescue(who.page);
  if (waits_for_another) crew_.notify_all();
  const bool has_place = who.number < places_.size();  // else there are to be fewer
  if (reload_ && who.replaces && !who.has_proven_itself && has_place) {
    give_reload_up(who.number, who.serving ? "the new worker died before it had proven itself"
                                           : "the new worker died before it served");
  }

  const bool expected = who.stopping && (who.killed || !dead.end.by_signal || dead.end.code == SIGTERM);
  has_worker_died_ |= !expected;
  if (expected) {
    log_.info("worker-ended", told, std::move(fields));
  } else if (is_stopping() || !has_place || crew_.serving_as(who.number) != nullptr) {
    log_.warning("worker-died", told, std::move(fields));
  } else {
    board_.count(tally::restarts);
    const std::string then = plan_restart(dead, now, served, told);
    log_.warning("worker-died", told + then, std::move(fields));
    if (phase_ == phase::serving) parts_.service.status(status());
  }
  board_.release(who.page);
  left_groups_.add(who.worker->pid(), who.worker->take_lifeline());
  if (waits_for_another && is_stopping()) start_for_offers(who.number);
}

/// Of all worker processes: each leads one, which has its process id. None after a death, which a signal that another
/// worker had set may have caused.
std::vector<pid_t> supervisor::sessions_to_trust() {
  std::vector<pid_t> all;
  if (std::exchange(has_worker_died_, false)) return all;
  for (const auto& one : crew_.members()) all.push_back(one->worker->pid());
  return all;
}

/// The others may be gone already: one more worker takes what its predecessor held, and ends.
void supervisor::start_for_offers(std::size_t number) {
  try {
    crew_.ask_to_stop(start(number));
  } catch (const std::system_error& refused) {
    log_.error("start-failed", std::string{"a worker for what another held could not be started: "} + refused.what());
  }
}

std::string supervisor::plan_restart(const crew::dead_member& dead, clock::time_point now, std::uint64_t served,
                                     const std::string& told) {
  place& here = places_[dead.who->number];
  here.start_at = here.plan.after({.started = dead.who->started,
                                   .ended = now,
                                   .served = served,
                                   .began_to_serve = dead.who->serving,
                                   .hopeless = dead.end.hopeless && phase_ == phase::starting});
  // Who takes over leaves the sockets to a pool that is whole.
  const bool goes_on = has_others(dead.who->number) && !parts_.takes_over.depends_on_predecessor();
  if (!here.start_at || (here.plan.cannot_keep() && !goes_on)) {
    here.start_at.reset();
    give_up(dead, told);
    return "; not started again";
  }
  if (here.plan.unserved_lives() == options_.restart.crash_limit) {
    log_.error("worker-lost",
               "worker " + std::to_string(dead.who->number) + " cannot be kept alive" + reason_for(dead) +
                   "; the others serve on without it, and it is tried again, after longer and longer pauses");
  }
  const auto delay = *here.start_at - now;
  return delay < milliseconds{1} ? "; another is started" : "; another is started in " + duration_text(delay);
}

bool supervisor::has_others(std::size_t number) const {
  const auto is_well = [&](const crew::member& one) {
    return one.serving && !one.stopping &&
           (clock::now() - one.started >= options_.restart.healthy_after || handled_by(crew_.page_of(one)) > 0);
  };
  for (std::size_t other = 0; other < places_.size(); ++other) {
    if (other == number) continue;
    const crew::member* const there = crew_.serving_as(other);
    if (!places_[other].plan.cannot_keep() || (there != nullptr && is_well(*there))) return true;
  }
  return false;
}

std::size_t supervisor::lost_places() const {
  std::size_t lost = 0;
  for (std::size_t number = 0; number < places_.size(); ++number) {
    lost += places_[number].plan.cannot_keep() && crew_.serving_as(number) == nullptr ? 1 : 0;
  }
  return lost;
}

/// How often it died, and what that says of a program.
std::string supervisor::reason_for(const crew::dead_member& dead) const {
  if (dead.end.hopeless) return {};
  const std::string often = "; " + counted(places_[dead.who->number].plan.unserved_lives(), "time") + " in a row ";
  if (parts_.start.keeps_pages()) return often + "without serving a datagram";
  return often + "within " + duration_text(options_.restart.healthy_after) +
         "; a program has the socket as its descriptor 0, and must receive from it until SIGTERM";
}

void supervisor::give_up(const crew::dead_member& dead, const std::string& told) {
  log_.error("crash-loop", "workers cannot be kept alive: " + told + reason_for(dead));
  const bool is_programs_own = dead.end.hopeless && !dead.end.by_signal && dead.end.code > status_no_setup;
  set_result(is_programs_own ? static_cast<pool_result>(dead.end.code) : pool_result::crash_loop);
  begin_stop("a crash loop", false);
}

void supervisor::start_those_due() {
  const auto now = clock::now();
  for (std::size_t number = 0; number < places_.size(); ++number) {
    place& here = places_[number];
    if (!here.start_at || *here.start_at > now) continue;
    if (crew_.serving_as(number) != nullptr) {
      here.start_at.reset();  // a reload was quicker
      continue;
    }
    try {
      if (crew_.empty() && phase_ == phase::serving) sockets_.be_as_at_first(now);
      start(number);
    } catch (const std::system_error& refused) {
      const auto pause = std::max(options_.restart.longest_delay, milliseconds{100});
      here.start_at = now + pause;
      log_.error("start-failed", "worker " + std::to_string(number) + " could not be started: " + refused.what() +
                                     "; trying again in " + duration_text(pause));
    }
  }
}

}  // namespace udppump::detail
