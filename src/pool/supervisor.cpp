#include "pool/supervisor.hpp"

#include <algorithm>
#include <utility>

#include "pool/counted.hpp"
#include "pool/duration_text.hpp"
#include "pool/obituary.hpp"
#include "pool/worker_process.hpp"
#include "sys/failure.hpp"
#include "sys/sys_process.hpp"

namespace udppump::detail {

using std::chrono::milliseconds;

supervisor::supervisor(const supervised& parts)
    : parts_{parts},
      options_{parts.context.options},
      board_{parts.context.shared},
      log_{parts.log},
      signals_{parts.context.signal_mask, parts.context.options.model == worker_model::threads
                                              ? blocked_signals::strays::left
                                              : blocked_signals::strays::blocked},
      signal_fd_{sys::signal_descriptor(signals_.set())},
      sockets_{parts.context.sockets,
               parts.start.keeps_pages() ? socket_state::sharers::pumps : socket_state::sharers::programs,
               options_.socket, parts.log},
      backlog_{board_,
               parts_.context.sockets.all(),
               {.programs = !parts.start.keeps_pages(),
                .max_age = options_.max_age,
                .max_wait = parts.max_wait,
                .workers = options_.workers},
               parts.log},
      places_(options_.workers, place{.plan = restart_plan{options_.restart}}),
      crew_{parts.context, parts.start, parts.ready_after},
      errors_{board_.pages(), log_} {
  if (!signal_fd_) fail_with_cure(signal_fd_.fd(), "signalfd");
  if (!options_.reload_on_change.empty()) files_.emplace(options_.reload_on_change);
  if (options_.end_orphans) orphans_.emplace(log_);
  if (options_.model == worker_model::processes) limits_.emplace(log_);
  if (parts.max_wait.count() != 0) sockets_.leave_receive_buffers();
  if (parts_.start.keeps_pages()) stranded_.emplace(board_, parts_.context.sockets.all());
}

int supervisor::run() {
  const auto give_up_offers = [this] {
    if (parts_.redelivers != nullptr) parts_.redelivers->give_up();
  };
  try {
    for (std::size_t number = 0; number < places_.size(); ++number) start(number);
  } catch (const std::system_error&) {
    // Those that were started may hold something.
    if (!crew_.empty()) begin_stop("a worker could not be started", false);
    while (!crew_.empty()) go_round();
    end_orphans();
    give_up_offers();
    throw;
  }
  if (parts_.service.watchdog_interval().count() > 0) watchdog_at_ = clock::now();
  while (!is_stopping() || !crew_.empty() || parts_.takes_over.is_ending()) go_round();
  end_orphans();
  give_up_offers();
  errors_.say_the_rest(clock::now());
  parts_.service.say_the_rest();
  log_.notice("stopped", handed_over_ ? "ended; another process serves on" : "stopped");
  return result_;
}

void supervisor::go_round() {
  const wake_reasons woken = wait();
  if (limits_) {
    const auto now = clock::now();
    if (woken.error < 0) limits_->note_failed_wait(woken.error, now);
    if (now >= limits_->next()) limits_->look(now);
  }
  if (woken.arrival) {
    if (stranded_ && !stranded_->wants_to_know().empty()) stranded_->arrived(clock::now());
    backlog_.arrived(clock::now());
  }
  if (woken.file) {
    if (const std::string file = files_->changed(); !file.empty() && !is_stopping()) {
      log_.notice("file-changed", "\"" + file + "\" has changed");
      begin_reload();
    }
  }
  take_requests(woken.news);
  if (woken.signal) take_signals();
  note_serving();
  errors_.look(crew_, clock::now());
  if (woken.signal || woken.news || (orphans_ && clock::now() >= orphans_->next())) reap();
  if (woken.take_over || clock::now() >= parts_.takes_over.wakes_at()) heed_take_over();
  for (const pid_t killed : parts_.takes_over.kill_late_ones(clock::now())) {
    if (is_stopping()) set_result(pool_result::killed);
    if (orphans_) orphans_->worker_ended(killed, clock::now());
  }
  // Before any worker is started that might inherit what is wrong.
  if (!is_stopping() && clock::now() >= sockets_.next() && sockets_.look(clock::now(), sessions_to_trust()))
    begin_reload();
  if (!is_stopping()) start_those_due();
  enforce_deadlines();
  continue_reload();  // last: it goes on without whoever is late
  const auto now = clock::now();
  if (stranded_ && !is_stopping() && now >= stranded_->next()) stranded_->kick_idle_workers(now);
  if (!is_stopping() && now >= backlog_.next()) backlog_.measure_queues(now);
  if (now >= parts_.service.says_again_at()) parts_.service.say_again(now);
  if (now >= watchdog_at_) {
    parts_.service.feed_watchdog();
    watchdog_at_ = now + parts_.service.watchdog_interval();
  }
}

wake_reasons supervisor::wait() {
  wake_list list;
  list.watch(signal_fd_.fd(), &wake_reasons::signal);
  list.watch(board_.parent_signal(), &wake_reasons::news);
  if (files_) list.watch(files_->fd(), &wake_reasons::file);
  for (const int fd : parts_.takes_over.descriptors()) list.watch(fd, &wake_reasons::take_over);
  if (!is_stopping()) {
    auto asked = backlog_.wants_to_know();
    if (asked.empty() && stranded_) asked = stranded_->wants_to_know();
    for (const int fd : asked) list.watch(fd, &wake_reasons::arrival);
  }
  return list.wait(next_event());
}

supervisor::clock::time_point supervisor::next_event() const {
  const auto never = clock::time_point::max();
  auto next =
      std::min({watchdog_at_, orphans_ ? orphans_->next() : never, parts_.takes_over.wakes_at(), crew_.next_deadline(),
                errors_.wakes_at(), parts_.service.says_again_at(), limits_ ? limits_->next() : never});
  if (is_stopping()) return next;
  next = std::min({next, sockets_.next(), backlog_.next()});
  if (stranded_) next = std::min(next, stranded_->next());
  for (const place& one : places_) {
    if (one.start_at) next = std::min(next, *one.start_at);
  }
  return next;
}

void supervisor::take_requests(bool notified) {
  if (notified) board_.clear_parent_signal();
  const std::uint32_t wanted = board_.header().requests.exchange(0, std::memory_order_acquire);
  if ((wanted & request_stop) != 0) begin_stop("asked to stop", false);
  if ((wanted & request_reload) != 0) begin_reload();
}

void supervisor::take_signals() {
  constexpr int most = 1024;  // though others send them without end
  signalfd_siginfo came{};
  for (int taken = 0; taken < most; ++taken) {
    if (sys::read(signal_fd_.fd(), &came, sizeof came) != static_cast<ssize_t>(sizeof came)) return;
    switch (came.ssi_signo) {
      case SIGCHLD:
        break;  // reap() follows
      case SIGXCPU:
      case SIGXFSZ:
        if (limits_) limits_->look(clock::now());
        break;
      case SIGHUP:
        begin_reload();
        break;
      case SIGUSR2:
        if (limits_) limits_->look(clock::now());  // what is executed inherits them, and takes them for those wanted
        if (!is_stopping()) parts_.takes_over.begin(parts_.context.signal_mask);
        break;
      case SIGTERM:
      case SIGINT:
        begin_stop(came.ssi_signo == SIGINT ? "SIGINT" : "SIGTERM", false);
        break;
      default:  // nobody asked for it: a socket may send it
        sockets_.look_soon(clock::now());
    }
  }
}

// --- workers that live and die ---------------------------------------------------------------------------------------

crew::member& supervisor::start(std::size_t number) {
  if (limits_) limits_->look(clock::now());  // it inherits them
  auto& own = parts_.context.parents_own = parts_.takes_over.own_descriptors();
  own.push_back(signal_fd_.fd());
  if (files_) own.push_back(files_->fd());
  if (orphans_) {
    for (const descriptor& list : orphans_->lists()) own.push_back(list.fd());
  }
  if (parts_.redelivers != nullptr && parts_.redelivers->file() >= 0) own.push_back(parts_.redelivers->file());
  if (parts_.pid != nullptr) own.push_back(parts_.pid->fd());
  if (log_.own_descriptor() >= 0) own.push_back(log_.own_descriptor());
  for (const auto& one : crew_.members()) {
    if (const int fd = one->worker->parents_own(); fd >= 0) own.push_back(fd);
  }
  crew::member& started = crew_.start(number);
  places_[number].start_at.reset();
  return started;
}

void supervisor::note_serving() {
  const bool more = crew_.note_serving(clock::now());
  if (more && phase_ == phase::serving && !reload_) parts_.service.status(status());
  if (phase_ != phase::starting || crew_.serving() == 0) return;
  const std::size_t lost = lost_places();
  if (crew_.serving() + lost < places_.size()) return;
  phase_ = phase::serving;
  std::string where;
  for (const datagram_socket& socket : parts_.context.sockets.all()) {
    where += (where.empty() ? "" : ", ") + socket.local().to_string();
  }
  write_pid();
  log_.notice("serving",
              (lost > 0 ? std::to_string(places_.size() - lost) + " of " : std::string{}) +
                  std::to_string(places_.size()) + (places_.size() == 1 ? " worker serves " : " workers serve ") +
                  where,
              {{"workers", std::to_string(places_.size())}, {"sockets", where}});
  // Last, as the pool before this one ends now.
  parts_.takes_over.say_ready();
  parts_.service.ready(status());
}

void supervisor::write_pid() const {
  if (parts_.pid == nullptr) return;
  try {
    parts_.pid->write();
  } catch (const std::system_error& refused) {
    log_.error("pid-file", refused.what());
  }
}

void supervisor::reap() {
  for (const pid_t ended : parts_.takes_over.reap()) {
    if (orphans_) orphans_->worker_ended(ended, clock::now());
  }
  while (const auto dead = crew_.take_ended()) bury(*dead);
  if (!orphans_) return;
  auto known = parts_.takes_over.executed();
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
  // Who is in a program's group was told with it.
  const bool were_told = who.stopping && !parts_.start.keeps_pages();
  if (parts_.start.keeps_pages()) static_cast<void>(sys::kill(-who.worker->pid(), SIGTERM));
  orphans_->worker_ended(who.worker->pid(), were_told ? who.deadline : now + options_.stop_timeout);
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
  const std::uint64_t served = crew_.page_of(who).handled.load(std::memory_order_relaxed);
  errors_.look_at_last(who, crew_.page_of(who), now);
  auto [told, fields] = obituary_of(dead, served, now - who.started, parts_.start.keeps_pages());

  hunt_for(who, now);
  const bool waits_for_another = parts_.redelivers != nullptr && parts_.redelivers->rescue(who.page);
  if (waits_for_another) crew_.notify_all();
  if (reload_ && reload_->new_one == &who) end_reload("the new worker died before it served");

  const bool expected = who.stopping && (who.killed || !dead.end.by_signal || dead.end.code == SIGTERM);
  has_worker_died_ |= !expected;
  if (expected) {
    log_.info("worker-ended", told, std::move(fields));
  } else if (is_stopping() || crew_.serving_as(who.number) != nullptr) {
    log_.warning("worker-died", told, std::move(fields));
  } else {
    board_.count(tally::restarts);
    const std::string then = plan_restart(dead, now, served, told);
    log_.warning("worker-died", told + then, std::move(fields));
    if (phase_ == phase::serving) parts_.service.status(status());
  }
  board_.release(who.page);
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
           (clock::now() - one.started >= options_.restart.healthy_after ||
            crew_.page_of(one).handled.load(std::memory_order_relaxed) > 0);
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
    } else {
      log_.error("worker-killed",
                 who + " did not begin to serve within " + duration_text(options_.start_timeout) + " and is killed");
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

// --- replacing all of them -------------------------------------------------------------------------------------------

void supervisor::begin_reload() {
  if (is_stopping()) return;
  if (reload_) return reload_->steps.ask_again();
  reload_ = running_reload{.steps = reload{places_.size()}, .began = clock::now()};
  parts_.service.reloading("reloading");
  log_.notice("reload-begun", "reloading: each worker is replaced, new before old");
}

reload::seen supervisor::look_at(std::size_t number) const {
  reload::seen now{.is_manned = crew_.serving_as(number) != nullptr,
                   .new_one_serves = reload_->new_one != nullptr && reload_->new_one->serving};
  for (const auto& one : crew_.members()) {
    if (one->number != number || one.get() == reload_->new_one) continue;
    now.old_one_serves |= !one->stopping;
    now.old_one_stops |= one->stopping && !one->killed;
  }
  return now;
}

void supervisor::continue_reload() {
  while (reload_ && !is_stopping()) {
    const std::size_t number = reload_->steps.number();
    switch (reload_->steps.next(look_at(number))) {
      case reload::step::start_new:
        try {
          reload_->new_one = &start(number);
        } catch (const std::system_error& refused) {
          end_reload(refused.what());
        }
        break;
      case reload::step::stop_old:
        for (const auto& one : crew_.members()) {
          if (one->number == number && one.get() != reload_->new_one && !one->stopping) crew_.ask_to_stop(*one);
        }
        break;
      case reload::step::go_on:
        reload_->new_one = nullptr;
        break;
      case reload::step::wait:
        return;
      case reload::step::end:
        end_reload({});  // which begins the next one if that was asked for
        break;
    }
  }
}

/// An empty failure is a success.
void supervisor::end_reload(const std::string& failure) {
  const running_reload done = *reload_;
  reload_.reset();
  if (phase_ == phase::serving) parts_.service.ready(status());
  if (failure.empty()) {
    board_.count(tally::reloads);
    log_.notice("reloaded",
                "reloaded " + counted(places_.size(), "worker") + " in " + duration_text(clock::now() - done.began));
  } else {
    log_.error("reload-failed", "the reload was given up at worker " + std::to_string(done.steps.number()) + ": " +
                                    failure + "; the workers that are left serve on");
  }
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
  phase_ = phase::stopping;
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

void supervisor::heed_take_over() {
  if (const std::string why = parts_.takes_over.hear_predecessor(); !why.empty() && !is_stopping()) {
    log_.error("take-over-failed", "the pool that was to be taken over from says: " + why);
    set_result(pool_result::crash_loop);
    begin_stop("the take-over has failed", false);
    is_next_stop_ignored_ = true;  // that pool may send SIGTERM as well
    return;
  }
  // How a service manager's socket should be, this parent alone knows: the next one keeps it as it is handed on.
  if (!is_stopping() && sockets_.may_look(clock::now()) && sockets_.look(clock::now(), sessions_to_trust()))
    begin_reload();
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

std::string supervisor::status() const {
  std::string text = std::to_string(crew_.serving()) + " of " + std::to_string(places_.size()) + " workers serve";
  if (const auto restarts = board_.counted(tally::restarts)) {
    text += ", " + std::to_string(restarts) + (restarts == 1 ? " restart" : " restarts");
  }
  return text;
}

}  // namespace udppump::detail
