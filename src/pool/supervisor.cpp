#include "pool/supervisor.hpp"

#include <algorithm>
#include <utility>

#include "pool/leftovers.hpp"
#include "pool/scale_order.hpp"
#include "pool/shown.hpp"
#include "pool/stray_signal.hpp"
#include "sys/failure.hpp"
#include "sys/sys_process.hpp"

namespace udppump::detail {

using std::chrono::milliseconds;

namespace {

/// What a reload starts may be another program than what it replaces.
bool brings_new_code(const supervised& parts) { return !parts.start.keeps_pages() || parts.context.options.reexecute; }

}  // namespace

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
                .workers = options_.workers,
                .lanes = options_.lanes},
               parts.log},
      places_(options_.workers, place{.plan = restart_plan{options_.restart}}),
      crew_{parts.context, parts.start, parts.ready_after},
      errors_{board_.pages(), log_},
      lanes_{board_, options_.lanes, parts_.context.lanes, log_},
      prove_for_{
          options_.prove_for.value_or(brings_new_code(parts) ? options_.restart.healthy_after : milliseconds{0})} {
  if (!signal_fd_) fail_with_cure(signal_fd_.fd(), "signalfd");
  if (!options_.reload_on_change.empty()) files_.emplace(options_.reload_on_change);
  if (options_.end_orphans) orphans_.emplace(log_);
  if (options_.model == worker_model::processes) limits_.emplace(log_);
  if (parts.max_wait.count() != 0) sockets_.leave_receive_buffers();
  if (!parts_.start.keeps_pages() && parts.hang_timeout.count() != 0) untaken_.emplace(parts_.context.sockets);
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
  if (!handed_over_) {
    log_leftovers(parts_.context.sockets, !options_.adopt.empty() || parts_.takes_over.may_predecessor_serve(), log_);
  }
  errors_.say_the_rest(clock::now());
  parts_.service.say_the_rest();
  if (parts_.outputs != nullptr) parts_.outputs->read_the_rest();
  log_.write_all();
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
    if (untaken_) untaken_->look(clock::now());
  }
  if (woken.file) {
    if (const std::string file = files_->changed(); !file.empty() && !is_stopping()) {
      log_.notice("file-changed", "\"" + file + "\" has changed");
      begin_reload();
    }
  }
  take_requests(woken.news);
  if (woken.signal) take_signals();
  if (parts_.outputs != nullptr && (woken.output || clock::now() >= parts_.outputs->next())) {
    parts_.outputs->read(clock::now());
  }
  if (woken.ready && parts_.notifies != nullptr) hear_ready();
  if (woken.visitor && parts_.door != nullptr) parts_.door->look(clock::now());
  note_serving();
  errors_.look(crew_, clock::now());
  log_.write_due(clock::now());
  if (woken.signal || woken.news || (orphans_ && clock::now() >= orphans_->next())) reap();
  if (parts_.metrics != nullptr && (woken.signal || woken.metrics || clock::now() >= parts_.metrics->next())) {
    parts_.metrics->look(clock::now());
  }
  if (woken.take_over || clock::now() >= parts_.takes_over.wakes_at()) heed_take_over();
  for (const pid_t killed : parts_.takes_over.kill_late_ones(clock::now())) {
    if (is_stopping()) set_result(pool_result::killed);
    if (orphans_) orphans_->worker_ended(killed, clock::now());
  }
  // Before any worker is started that might inherit what is wrong.
  if (!parts_.takes_over.may_predecessor_serve()) sockets_.begin_to_sort();
  const auto may_look = [&] { return !parts_.takes_over.is_handing_on() || !sockets_.postpone(clock::now()); };
  if (!is_stopping() && clock::now() >= sockets_.next() && may_look()) {
    backlog_.tell_of_drops(clock::now());  // workers that are quick leave nothing for it to see in a queue
    if (sockets_.look(clock::now(), sessions_to_trust())) {
      show_sockets(board_, parts_.context.sockets);
      begin_reload();
    }
  }
  look_at_drain();
  if (!is_stopping()) look_after_workers(clock::now());
  if (!is_stopping()) start_those_due();
  enforce_deadlines();
  continue_reload();  // last: it goes on without whoever is late
  const auto now = clock::now();
  if (stranded_ && !is_stopping() && now >= stranded_->next()) stranded_->kick_idle_workers(now);
  if (!is_stopping() && now >= backlog_.next()) {
    backlog_.measure_queues(now);
    if (untaken_) untaken_->look(now);
  }
  if (!is_stopping() && now >= lanes_.next()) lanes_.look(now);
  if (now >= parts_.service.says_again_at()) parts_.service.say_again(now);
  if (now >= watchdog_at_) {
    if (does_serve()) parts_.service.feed_watchdog();
    watchdog_at_ = now + parts_.service.watchdog_interval();
  }
}

wake_reasons supervisor::wait() {
  wake_list list;
  list.watch(signal_fd_.fd(), &wake_reasons::signal);
  list.watch(board_.parent_signal(), &wake_reasons::news);
  if (files_) list.watch(files_->fd(), &wake_reasons::file);
  if (parts_.notifies != nullptr && clock::now() >= parts_.notifies->polled_from()) {
    list.watch(parts_.notifies->fd(), &wake_reasons::ready);
  }
  if (parts_.door != nullptr && clock::now() >= parts_.door->polled_from()) {
    list.watch(parts_.door->fd(), &wake_reasons::visitor);
  }
  if (parts_.outputs != nullptr) list.watch(parts_.outputs->fd(), &wake_reasons::output);
  if (parts_.metrics != nullptr && parts_.metrics->fd() >= 0) {
    list.watch(parts_.metrics->fd(), &wake_reasons::metrics);
  }
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
                errors_.wakes_at(), log_.next(), parts_.service.says_again_at(), limits_ ? limits_->next() : never});
  if (parts_.notifies != nullptr && parts_.notifies->polled_from() > clock::now()) {
    next = std::min(next, parts_.notifies->polled_from());
  }
  if (parts_.door != nullptr && parts_.door->polled_from() > clock::now()) {
    next = std::min(next, parts_.door->polled_from());
  }
  if (parts_.metrics != nullptr) next = std::min(next, parts_.metrics->next());
  if (parts_.outputs != nullptr) next = std::min(next, parts_.outputs->next());
  if (is_stopping()) return next;
  next = std::min({next, sockets_.next(), backlog_.next(), lanes_.next(), hung_look_at_, renewal_at_});
  if (stranded_) next = std::min(next, stranded_->next());
  if (reload_) next = std::min(next, next_proof());
  if (drain_) next = std::min(next, drain_->looks_at);
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
  if ((wanted & request_scale) != 0) scale(board_.header().scale_to.load(std::memory_order_relaxed), "the program");
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
        heed_stray(came);
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
      case SIGTTIN:
      case SIGTTOU:
        if (const auto order = scale_order::of(came, places_.size())) scale(order->workers, order->asked_by);
        break;
      default:
        sockets_.look_soon(clock::now());  // one of them may send it
        heed_stray(came);
    }
  }
}

/// Of a signal that nobody here asked for.
void supervisor::heed_stray(const signalfd_siginfo& came) {
  if (is_own_alarm(came)) return sys::take_signal(static_cast<int>(came.ssi_signo));
  constexpr std::size_t most_at_once = 4;
  std::string told = account_of_stray(came);
  if (!told.empty()) log_.warning("signal-ignored", std::move(told), {}, most_at_once);
}

void supervisor::note_serving() {
  const bool more = crew_.note_serving(clock::now());
  if (more && phase_ == phase::serving && !reload_) parts_.service.status(status());
  if (phase_ != phase::starting || crew_.serving() == 0) return;
  const std::size_t lost = lost_places();
  if (crew_.serving() + lost < places_.size()) return;
  phase_ = phase::serving;
  std::string where;
  for (std::size_t at = 0; at < parts_.context.sockets.size(); ++at) {
    where += (where.empty() ? "" : ", ") + parts_.context.sockets.description(at);
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

std::string supervisor::status() const {
  std::string text = std::to_string(crew_.serving()) + " of " + std::to_string(places_.size()) + " workers serve";
  if (const auto restarts = board_.counted(tally::restarts)) {
    text += ", " + std::to_string(restarts) + (restarts == 1 ? " restart" : " restarts");
  }
  return text;
}

}  // namespace udppump::detail
