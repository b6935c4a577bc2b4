#include "pool/supervisor.hpp"

#include <poll.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "failure.hpp"
#include "sys_process.hpp"

namespace udppump::detail {

namespace {

using std::chrono::duration_cast;
using std::chrono::milliseconds;

std::string seconds_text(std::chrono::nanoseconds time) {
  const auto tenths = duration_cast<milliseconds>(time).count() / 100;
  if (tenths < 10) return std::to_string(duration_cast<milliseconds>(time).count()) + " ms";
  return std::to_string(tenths / 10) + '.' + std::to_string(tenths % 10) + " s";
}

std::string how(const worker_end& end) {
  if (!end.by_signal) return "exited with status " + std::to_string(end.code);
  return "was killed by signal " + std::to_string(end.code) + " (" + ::strsignal(end.code) + ")";
}

}  // namespace

supervisor::supervisor(const supervised& parts)
    : parts_{parts},
      options_{parts.context.options},
      board_{*parts.context.shared},
      log_{parts.log},
      places_(parts.context.options.workers) {
  sigemptyset(&signals_);
  for (const int one : {SIGTERM, SIGINT, SIGHUP, SIGUSR2, SIGCHLD}) sigaddset(&signals_, one);
  ::pthread_sigmask(SIG_BLOCK, &signals_, &parts_.context.signal_mask);
  signal_fd_ = descriptor{sys::signal_descriptor(signals_)};
  if (!signal_fd_) {
    ::pthread_sigmask(SIG_SETMASK, &parts_.context.signal_mask, nullptr);
    fail(signal_fd_.fd(), "signalfd");
  }
  if (!options_.reload_on_change.empty()) files_.emplace(options_.reload_on_change);
  if (parts_.start.keeps_pages()) stranded_.emplace(board_, parts_.context.sockets);
}

supervisor::~supervisor() {
  members_.clear();  // kills and waits, where run() was left by an exception
  // Those that are pending are answered: they were the pool's.
  timespec at_once{};
  while (::sigtimedwait(&signals_, nullptr, &at_once) > 0) {
  }
  ::pthread_sigmask(SIG_SETMASK, &parts_.context.signal_mask, nullptr);
}

int supervisor::run() {
  for (std::size_t number = 0; number < places_.size(); ++number) start(number);
  if (parts_.service.watchdog_interval().count() > 0) watchdog_at_ = clock::now();
  while (!stopping_ || !members_.empty()) {
    wait();
    take_signals();
    note_serving();
    if (std::exchange(reap_due_, false)) reap();
    if (std::exchange(succession_due_, false)) heed_succession();
    if (!stopping_) restart();
    continue_reload();
    enforce_deadlines();
    const auto now = clock::now();
    if (stranded_ && !stopping_ && now >= stranded_->next()) stranded_->look(now);
    if (now >= watchdog_at_) {
      parts_.service.feed_watchdog();
      watchdog_at_ = now + parts_.service.watchdog_interval();
    }
  }
  if (parts_.keeps != nullptr) parts_.keeps->give_up();
  log_.notice("stopped", handed_over_ ? "ended; another process serves on" : "stopped");
  return result_;
}

supervisor::member& supervisor::start(std::size_t number) {
  auto& own = parts_.context.parents_own = parts_.takes_over.descriptors();
  own.push_back(signal_fd_.fd());
  if (files_) own.push_back(files_->fd());
  auto made = std::make_unique<member>(member{.number = number, .page = board_.claim(number), .started = clock::now()});
  try {
    made->worker = parts_.start.start({number, made->page});
  } catch (...) {
    board_.release(made->page);
    throw;
  }
  made->deadline = made->started + (parts_.start.keeps_pages() ? options_.start_timeout : parts_.ready_after);
  places_[number].start_at.reset();
  members_.push_back(std::move(made));
  return *members_.back();
}

supervisor::clock::time_point supervisor::next_event() const {
  auto next = watchdog_at_;
  if (stranded_ && !stopping_) next = std::min(next, stranded_->next());
  for (const place& one : places_) {
    if (one.start_at && !stopping_) next = std::min(next, *one.start_at);
  }
  for (const auto& one : members_) {
    if (!one->killed && (!one->serving || one->stopping)) next = std::min(next, one->deadline);
  }
  return next;
}

void supervisor::wait() {
  std::vector<pollfd> set;
  const auto watch = [&set](int fd) { set.push_back({.fd = fd, .events = POLLIN, .revents = 0}); };
  watch(signal_fd_.fd());
  watch(board_.parent_signal());
  if (files_) watch(files_->fd());
  const std::size_t first_successor = set.size();
  for (const int fd : parts_.takes_over.descriptors()) watch(fd);
  const std::size_t first_socket = set.size();
  if (stranded_ && !stopping_) {
    for (const int fd : stranded_->wants_to_know()) watch(fd);
  }

  const auto next = next_event();
  int timeout = -1;
  if (next != clock::time_point::max()) {
    const auto left = std::chrono::ceil<milliseconds>(next - clock::now()).count();
    timeout = static_cast<int>(std::clamp<long>(left, 0, 60'000));
  }
  if (sys::poll(set.data(), set.size(), timeout) <= 0) return;
  const auto any_of = [&set](std::size_t first, std::size_t end) {
    return std::any_of(set.begin() + static_cast<std::ptrdiff_t>(first), set.begin() + static_cast<std::ptrdiff_t>(end),
                       [](const pollfd& one) { return one.revents != 0; });
  };
  signals_due_ = set[0].revents != 0;
  succession_due_ = any_of(first_successor, first_socket);
  if (any_of(first_socket, set.size())) stranded_->arrived(clock::now());
  if (set[1].revents != 0) {
    std::uint64_t waste = 0;
    static_cast<void>(sys::read(board_.parent_signal(), &waste, sizeof waste));
    reap_due_ = true;  // a thread's end
  }
  if (files_ && set[2].revents != 0) {
    if (const std::string file = files_->changed(); !file.empty() && !stopping_) {
      log_.notice("file-changed", "\"" + file + "\" has changed");
      begin_reload();
    }
  }
}

void supervisor::take_signals() {
  const std::uint32_t wanted = board_.header().requests.exchange(0, std::memory_order_acquire);
  if ((wanted & request_stop) != 0) begin_stop("asked to stop", false);
  if ((wanted & request_reload) != 0) begin_reload();
  if (!std::exchange(signals_due_, false)) return;
  signalfd_siginfo came{};
  while (sys::read(signal_fd_.fd(), &came, sizeof came) == static_cast<ssize_t>(sizeof came)) {
    switch (came.ssi_signo) {
      case SIGCHLD:
        reap_due_ = true;
        break;
      case SIGHUP:
        begin_reload();
        break;
      case SIGUSR2:
        if (!stopping_) parts_.takes_over.begin(parts_.context.signal_mask);
        break;
      default:
        begin_stop(came.ssi_signo == SIGINT ? "SIGINT" : "SIGTERM", false);
    }
  }
}

void supervisor::note_serving() {
  const auto now = clock::now();
  bool more = false;
  for (const auto& one : members_) {
    if (one->serving) continue;
    const page_state state = board_.page(one->page).state.load(std::memory_order_acquire);
    one->serving = parts_.start.keeps_pages() ? state == page_state::serving || state == page_state::stopping
                                              : now >= one->deadline;
    more |= one->serving;
    if (one->serving && !parts_.start.keeps_pages()) {
      auto starting = page_state::starting;
      board_.page(one->page).state.compare_exchange_strong(starting, page_state::serving);
    }
  }
  if (more && was_whole_ && !stopping_ && !reload_) parts_.service.status(status());
  if (was_whole_ || stopping_ || serving_count() < places_.size()) return;
  was_whole_ = true;
  parts_.takes_over.say_ready();
  parts_.service.ready(status());
  std::string where;
  for (const datagram_socket& socket : parts_.context.sockets) {
    where += (where.empty() ? "" : ", ") + socket.local().to_string();
  }
  log_.notice("serving",
              std::to_string(places_.size()) + (places_.size() == 1 ? " worker serves " : " workers serve ") + where,
              {{"workers", std::to_string(places_.size())}, {"sockets", where}});
}

void supervisor::reap() {
  parts_.takes_over.reap();
  for (std::size_t at = 0; at < members_.size();) {
    if (const auto end = members_[at]->worker->ended()) {
      const auto dead = std::move(members_[at]);
      members_.erase(members_.begin() + static_cast<std::ptrdiff_t>(at));
      bury(*dead, *end);
    } else {
      ++at;
    }
  }
}

void supervisor::bury(member& dead, const worker_end& end) {
  worker_page& page = board_.page(dead.page);
  const auto lived = clock::now() - dead.started;
  const std::uint64_t served = page.handled.load(std::memory_order_relaxed);
  std::string told = "worker " + std::to_string(dead.number) + " (pid " + std::to_string(page.pid.load()) + ") " +
                     how(end) + " after " + seconds_text(lived);
  if (parts_.start.keeps_pages()) told += " and " + std::to_string(served) + " datagrams";
  if (!end.words.empty()) told += ": " + end.words;
  pool_log::fields fields{{"worker", std::to_string(dead.number)},
                          {"pid", std::to_string(page.pid.load())},
                          {end.by_signal ? "signal" : "status", std::to_string(end.code)},
                          {"uptime_ms", std::to_string(duration_cast<milliseconds>(lived).count())},
                          {"served", std::to_string(served)}};

  if (parts_.keeps != nullptr && parts_.keeps->rescue(dead.page)) {
    for (const auto& one : members_) board_.notify(one->page);
  }
  if (reload_ && reload_->incoming == &dead) end_reload(false, "the new worker died before it served");

  const bool expected = dead.stopping && (dead.killed || !end.by_signal || end.code == SIGTERM);
  if (expected) {
    log_.info("worker-ended", told, std::move(fields));
  } else if (stopping_ || serving_as(dead.number) != nullptr) {
    log_.warning("worker-died", told, std::move(fields));
  } else {
    add(board_.header().restarts, 1);
    plan_restart(dead, end, told);
    const auto& at = places_[dead.number].start_at;
    const auto delay = at ? *at - clock::now() : clock::duration{0};
    const std::string then = !at                       ? "; not started again"
                             : delay < milliseconds{1} ? "; another is started"
                                                       : "; another is started in " + seconds_text(delay);
    log_.warning("worker-died", told + then, std::move(fields));
    if (was_whole_ && !stopping_) parts_.service.status(status());
  }
  board_.release(dead.page);
}

void supervisor::plan_restart(const member& dead, const worker_end& end, std::string told) {
  place& here = places_[dead.number];
  const restart_policy& policy = options_.restart;
  const auto now = clock::now();
  const std::uint64_t served = board_.page(dead.page).handled.load(std::memory_order_relaxed);
  const bool was_well = now - dead.started >= policy.healthy_after || served >= policy.healthy_after_datagrams;
  here.short_lives = was_well ? 0 : here.short_lives + 1;
  here.unserved_lives = was_well || served != 0 ? 0 : here.unserved_lives + 1;
  if (here.unserved_lives >= policy.crash_limit || (end.hopeless && !was_whole_)) {
    std::string often;
    if (!end.hopeless) {
      often = "; " + std::to_string(here.unserved_lives) + " times in a row " +
              (parts_.start.keeps_pages() ? "without serving a datagram"
                                          : "within " + seconds_text(policy.healthy_after) +
                                                "; a program has the socket as its descriptor 0, and receives from it "
                                                "until SIGTERM");
    }
    log_.error("crash-loop", "workers cannot be kept alive: " + told + often);
    end_with(end.hopeless && !end.by_signal && end.code > status_no_setup ? end.code
                                                                          : static_cast<int>(pool_result::crash_loop));
    return begin_stop("a crash loop", false);
  }
  if (here.short_lives == 0) {
    here.start_at = std::max<clock::time_point>(now, dead.started + policy.first_delay);
    return;
  }
  const clock::duration delay = policy.first_delay * (1u << std::min(here.short_lives - 1, 20u));
  here.start_at = now + std::min<clock::duration>(delay, policy.longest_delay);
}

void supervisor::restart() {
  const auto now = clock::now();
  for (std::size_t number = 0; number < places_.size(); ++number) {
    place& here = places_[number];
    if (!here.start_at || *here.start_at > now) continue;
    if (serving_as(number) != nullptr) {
      here.start_at.reset();  // a reload was quicker
      continue;
    }
    try {
      start(number);
    } catch (const std::system_error& refused) {
      here.start_at = now + options_.restart.longest_delay;
      log_.error("start-failed", "worker " + std::to_string(number) + " could not be started: " + refused.what() +
                                     "; trying again in " + seconds_text(options_.restart.longest_delay));
    }
  }
}

void supervisor::enforce_deadlines() {
  const auto now = clock::now();
  for (const auto& one : members_) {
    if (one->killed || now < one->deadline) continue;
    const std::string who =
        "worker " + std::to_string(one->number) + " (pid " + std::to_string(board_.page(one->page).pid.load()) + ")";
    if (!one->stopping && (one->serving || !parts_.start.keeps_pages())) continue;
    if (one->stopping) {
      log_.warning("worker-killed", who + " did not stop in time and is killed; what it held is lost" +
                                        (parts_.keeps != nullptr ? " unless another takes it" : ""));
      if (stopping_) end_with(static_cast<int>(pool_result::killed));
    } else {
      log_.error("worker-killed",
                 who + " did not begin to serve within " + seconds_text(options_.start_timeout) + " and is killed");
    }
    one->killed = true;
    if (!one->worker->kill()) {
      log_.error("killed", "a thread cannot be killed; the process ends");
      ::_exit(static_cast<int>(pool_result::killed));
    }
  }
}

// --- reload ----------------------------------------------------------------------------------------------------------

void supervisor::begin_reload() {
  if (stopping_) return;
  if (reload_) {
    reload_->again = true;
    return;
  }
  reload_ = reloading{.began = clock::now()};
  parts_.service.reloading("reloading");
  log_.notice("reload-begun", "reloading: each worker is replaced, new before old");
}

void supervisor::continue_reload() {
  while (reload_ && !stopping_) {
    if (reload_->next == places_.size()) return end_reload(true, {});
    const std::size_t number = reload_->next;
    if (reload_->incoming == nullptr) {
      if (serving_as(number) == nullptr) {  // waits to be restarted, and will be new
        ++reload_->next;
        continue;
      }
      try {
        reload_->incoming = &start(number);
      } catch (const std::system_error& refused) {
        return end_reload(false, refused.what());
      }
      return;
    }
    if (!reload_->incoming->serving) return;
    bool old_left = false;
    for (const auto& one : members_) {
      if (one->number != number || one.get() == reload_->incoming) continue;
      if (!one->stopping) ask_to_stop(*one);
      old_left = true;
    }
    if (old_left) return;
    reload_->incoming = nullptr;
    ++reload_->next;
  }
}

void supervisor::end_reload(bool whole, const std::string& why) {
  const reloading done = *reload_;
  reload_.reset();
  parts_.service.ready(status());
  if (whole) {
    add(board_.header().reloads, 1);
    log_.notice("reloaded", "reloaded " + std::to_string(places_.size()) + " workers in " +
                                seconds_text(clock::now() - done.began));
  } else {
    log_.error("reload-failed", "the reload was given up at worker " + std::to_string(done.next) + ": " + why +
                                    "; the workers that are left serve on");
  }
  if (done.again) begin_reload();
}

// --- stopping and handing over ---------------------------------------------------------------------------------------

void supervisor::ask_to_stop(member& one) {
  one.stopping = true;
  one.deadline = clock::now() + options_.stop_timeout;
  one.worker->ask_to_stop();
}

void supervisor::begin_stop(const std::string& why, bool handed_over) {
  if (stopping_) {  // asked twice: at once
    for (const auto& one : members_) one->deadline = std::min(one->deadline, clock::now());
    return;
  }
  stopping_ = true;
  handed_over_ = handed_over;
  reload_.reset();
  parts_.takes_over.close();
  if (!handed_over) parts_.service.stopping("stopping");
  log_.notice("stopping", why + ": stopping; workers finish what they hold");
  for (const auto& one : members_) {
    if (!one->stopping) ask_to_stop(*one);
  }
}

void supervisor::heed_succession() {
  std::vector<successor::offered> offered;
  if (parts_.takes_over.listener() >= 0) offered.push_back({parts_.takes_over.listener(), take_over_name});
  for (std::size_t at = 0; at < parts_.context.sockets.size(); ++at) {
    offered.push_back({parts_.context.sockets[at].fd(), parts_.handed_names[at]});
  }
  const auto heir = parts_.takes_over.look(offered);
  if (!heir || stopping_) return;
  parts_.service.main_process(*heir, "pid " + std::to_string(*heir) + " has taken over");
  begin_stop("pid " + std::to_string(*heir) + " has taken over", true);
}

// --- what there is ---------------------------------------------------------------------------------------------------

/// The worker that has this number and is not about to go, if there is one.
supervisor::member* supervisor::serving_as(std::size_t number) const noexcept {
  for (const auto& one : members_) {
    if (one->number == number && !one->stopping) return one.get();
  }
  return nullptr;
}

std::size_t supervisor::serving_count() const noexcept {
  return static_cast<std::size_t>(
      std::count_if(members_.begin(), members_.end(), [](const auto& one) { return one->serving && !one->stopping; }));
}

std::string supervisor::status() const {
  std::string text = std::to_string(serving_count()) + " of " + std::to_string(places_.size()) + " workers serve";
  if (const auto restarts = board_.header().restarts.load()) {
    text += ", " + std::to_string(restarts) + (restarts == 1 ? " restart" : " restarts");
  }
  return text;
}

}  // namespace udppump::detail
