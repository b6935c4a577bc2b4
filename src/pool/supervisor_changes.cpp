// What concerns all workers at once: a reload, a stop, a take-over.
#include "pool/supervisor.hpp"

#include <algorithm>
#include <utility>

#include "pool/counted.hpp"
#include "pool/duration_text.hpp"
#include "pool/leftovers.hpp"
#include "pool/obituary.hpp"
#include "pool/worker_process.hpp"

namespace udppump::detail {

using std::chrono::milliseconds;

void supervisor::begin_reload() {
  if (is_stopping() || drain_) return;
  if (reload_) return reload_->steps.ask_again();
  const std::size_t width = options_.reload_width != 0 ? options_.reload_width : (places_.size() + 7) / 8;
  reload_ = running_reload{.steps = reload{places_.size(), width}, .began = clock::now()};
  for (const auto& one : crew_.members()) one->replaces = one->has_proven_itself = false;
  parts_.service.reloading("reloading");
  log_.notice("reload-begun", "reloading: each worker is replaced, new before old");
}

bool supervisor::is_proven(const crew::member& one, clock::time_point now) const noexcept {
  return one.serving && (one.has_proven_itself || now - one.serving_since >= prove_for_ ||
                         handled_by(crew_.page_of(one)) >= options_.restart.healthy_after_datagrams);
}

/// When it is to be looked again whether a new worker has proven itself. How many datagrams it has finished, it does
/// not tell by itself.
supervisor::clock::time_point supervisor::next_proof() const {
  constexpr milliseconds pause{20};
  auto next = clock::time_point::max();
  for (const auto& one : crew_.members()) {
    if (!one->replaces || one->has_proven_itself || !one->serving) continue;
    next = std::min(next, one->serving_since + prove_for_);
    if (parts_.start.keeps_pages()) next = std::min(next, clock::now() + pause);
  }
  return next;
}

reload::seen supervisor::look_at(std::size_t number) const {
  reload::seen now{};
  for (const auto& one : crew_.members()) {
    if (one->number != number) continue;
    now.old_one_serves |= !one->stopping && is_of_before(*one);
    now.old_one_stops |= one->stopping && !one->killed;
    now.new_one_is_tried |= one->replaces && !is_proven(*one, clock::now());
  }
  for (const remains& left : reload_->left) {
    now.old_one_stops |= left.number == number && orphans_->awaits(left.group) && clock::now() < left.until;
  }
  return now;
}

void supervisor::continue_reload() {
  bool goes_on = true;
  while (reload_ && !is_stopping() && goes_on) {
    goes_on = false;
    const auto turns = reload_->steps.turns();
    if (turns.empty()) {
      end_reload();  // which begins the next one if that was asked for
      goes_on = true;
    }
    for (const std::size_t number : turns) {
      if (!reload_) break;
      const reload::step what = reload_->steps.next(number, look_at(number));
      goes_on |= what != reload::step::wait;
      take_step(number, what);
    }
  }
}

void supervisor::take_step(std::size_t number, reload::step what) {
  if (what == reload::step::start_new) {
    try {
      start(number).replaces = true;
    } catch (const std::system_error& refused) {
      give_reload_up(number, refused.what());
    }
  }
  if (what != reload::step::stop_old) return;
  for (const auto& one : crew_.members()) {
    if (one->number != number) continue;
    if (one->replaces) {
      one->has_proven_itself = true;
    } else if (!one->stopping && is_of_before(*one)) {
      crew_.ask_to_stop(*one);
    }
  }
}

void supervisor::end_reload() {
  const running_reload done = *reload_;
  reload_.reset();
  if (phase_ == phase::serving && !done.is_renewal) parts_.service.ready(status());
  if (!done.is_renewal) {
    board_.count(tally::reloads);
    log_.notice("reloaded",
                "reloaded " + counted(places_.size(), "worker") + " in " + duration_text(clock::now() - done.began));
  }
  if (done.steps.asked_again()) begin_reload();
}

/// Goes back to those who served before, as far as they have not been replaced.
void supervisor::give_reload_up(std::size_t number, const std::string& failure) {
  const running_reload done = *reload_;
  for (const auto& one : crew_.members()) {
    if (!one->replaces || one->has_proven_itself || one->stopping) continue;
    const bool is_needed = std::ranges::none_of(crew_.members(), [&](const auto& other) {
      return other->number == one->number && other != one && !other->stopping;
    });
    if (!is_needed) crew_.ask_to_stop(*one);
  }
  reload_.reset();
  constexpr std::chrono::seconds pause{10};
  if (done.is_renewal) renewal_at_ = clock::now() + pause;
  if (phase_ == phase::serving && !done.is_renewal) parts_.service.ready(status());
  log_.error("reload-failed", std::string{done.is_renewal ? "the replacement" : "the reload"} +
                                  " was given up at worker " + std::to_string(number) + ": " + failure +
                                  "; the workers that served before serve on");
  if (done.steps.asked_again()) begin_reload();
}

// --- the end ---------------------------------------------------------------------------------------------------------

void supervisor::begin_stop(const std::string& why, bool handed_over) {
  if (is_stopping()) {
    if (std::exchange(is_next_stop_ignored_, false)) return;
    if (orphans_) orphans_->end_patience();
    parts_.takes_over.end_patience(clock::now());
    return crew_.end_patience(clock::now());  // asked once more: at once
  }
  if (begin_drain(why, handed_over)) return;
  phase_ = phase::stopping;
  drain_.reset();
  if (orphans_) orphans_->forget_late_ones_before();
  handed_over_ = is_next_stop_ignored_ = handed_over;
  reload_.reset();
  if (const auto heir = parts_.takes_over.close("the pool that has the sockets was told to stop");
      heir && !handed_over) {
    handed_over = handed_over_ = true;
    log_.notice("handed-over", heir->called() + " has the sockets, and serves on");
    tell_main_process(*heir, heir->called() + " serves on");
  }
  if (!handed_over) parts_.service.stopping("stopping");
  log_.notice("stopping", why + ": stopping; workers " +
                              (options_.stop_timeout.count() == 0 ? "are killed at once, as the stop timeout is 0"
                                                                  : "finish what they hold"));
  crew_.ask_all_to_stop();
}

/// Whether the stop waits for that.
bool supervisor::begin_drain(const std::string& why, bool handed_over) {
  if (drain_ || handed_over || options_.drain.count() == 0 || phase_ != phase::serving || result_ != 0) return false;
  const auto& called = parts_.context.sockets.called();
  // What waits in a service manager's sockets is served when it starts the service again.
  if (std::ranges::all_of(called, [](const listening& one) { return one.from_service_manager; })) return false;
  const auto now = clock::now();
  reload_.reset();
  drain_ = drain{.why = why, .until = now + options_.drain, .looks_at = now};
  parts_.service.stopping("serving what waits, then stopping");
  log_.notice("draining", why + ": serving what waits in the queues, for " + duration_text(options_.drain) +
                              " at most, and then stopping");
  return true;
}

void supervisor::look_at_drain() {
  constexpr milliseconds pause{2};
  const auto now = clock::now();
  if (!drain_ || now < drain_->looks_at) return;
  drain_->looks_at = std::min(drain_->until, now + pause);
  if (now < drain_->until && anything_waits(parts_.context.sockets.all())) return;
  const std::string why = drain_->why;
  begin_stop(why, false);
}

void supervisor::heed_take_over() {
  if (const std::string why = parts_.takes_over.hear_predecessor(); !why.empty() && !is_stopping()) {
    log_.error("take-over-failed", "the pool that was to be taken over from says: " + why);
    set_result(pool_result::crash_loop);
    begin_stop("the take-over has failed", false);
    is_next_stop_ignored_ = true;  // that pool may send SIGTERM as well
    return;
  }
  // How a service manager's socket should be, this parent alone knows: the next one keeps it as it is handed on.
  const bool is_told_already = parts_.takes_over.is_handing_on() && sockets_.postpone(clock::now());
  if (!is_stopping() && !is_told_already && sockets_.may_look(clock::now()) &&
      sockets_.look(clock::now(), sessions_to_trust())) {
    begin_reload();
  }
  handed_sockets offered{.sockets = {}, .listener = parts_.takes_over.listener()};
  if (parts_.pid != nullptr) offered.pid_file = file_identity::of(parts_.pid->fd());
  for (std::size_t at = 0; at < parts_.context.sockets.size(); ++at) {
    offered.sockets.push_back({parts_.context.sockets.all()[at].fd(), parts_.context.sockets.called()[at]});
  }
  const auto heir = parts_.takes_over.look(offered);
  if (!heir || is_stopping()) return;
  const std::string told = heir->called() + " has taken over";
  tell_main_process(*heir, told);
  begin_stop(told, true);
}

void supervisor::tell_main_process(const peer& who, const std::string& told) {
  if (who.pid > 0) parts_.service.main_process(who.pid, told);
}

std::string supervisor::how_it_was_late(const crew::member& one) const {
  if (one.hurried) return " is killed at once, as a second order to stop came";
  if (options_.stop_timeout.count() == 0) return " is killed at once, as the stop timeout is 0";
  return " did not stop within " + duration_text(options_.stop_timeout) + " and is killed";
}

void supervisor::enforce_deadlines() {
  while (crew::member* const late = crew_.late(clock::now())) {
    const std::string who = name_of(*late);
    if (late->stopping) {
      log_.warning("worker-killed", who + how_it_was_late(*late) + "; what it held is lost" +
                                        (parts_.redelivers != nullptr ? " unless another takes it" : ""));
      if (is_stopping()) set_result(pool_result::killed);
    } else if (late->hung) {
      log_.error("worker-killed",
                 who + " has not ended " + duration_text(aborting_time) + " after SIGABRT and is killed");
    } else {
      log_.error("worker-killed", who + " did not begin to serve within " + duration_text(options_.start_timeout) +
                                      " and is killed" +
                                      (parts_.notifies != nullptr ? "; a program is to say READY=1 (sd_notify)" : ""));
    }
    late->killed = true;  // in a reload, threads too: it goes on without them
    if (late->worker->kill()) {
      late->ends_by = clock::now() + killing_time;
      hunt_for(*late, clock::now());
      continue;
    }
    const std::string why = who + ' ' + std::string{late->worker->cannot_be_killed_as()};
    if (is_stopping()) {
      log_.error("killed", why + ", and cannot be killed: the pool ends without it; end it yourself");
      crew_.abandon(*late);
    } else {
      log_.warning("worker-left", why + ", and cannot be killed: it is left to finish");
    }
  }
  leave_undead();
}

void supervisor::leave_undead() {
  while (crew::member* const one = crew_.undead(clock::now())) {
    const std::string why = name_of(*one) + " was killed, and has not ended: " + why_not_gone(one->worker->pid());
    one->ends_by.reset();
    if (is_stopping()) {
      set_result(pool_result::killed);
      log_.error("killed", why + ". The pool ends without it");
      if (orphans_) orphans_->leave(one->worker->pid());
      crew_.abandon(*one);
    } else {
      log_.warning("worker-left", why);
    }
  }
}

}  // namespace udppump::detail
