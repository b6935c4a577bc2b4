#include "pool/take_over.hpp"

#include <algorithm>
#include <cstdlib>

#include "pool/duration_text.hpp"
#include "pool/execute.hpp"
#include "pool/worker_end.hpp"
#include "pool/worker_process.hpp"
#include "sys/failure.hpp"
#include "sys/sys_file.hpp"
#include "sys/sys_process.hpp"
#include "sys/sys_user.hpp"

namespace udppump::detail {

namespace {

using phase = successor::phase;
using std::chrono::milliseconds;
using std::chrono::seconds;

// What is said by others costs this much at most, however often they say it.
constexpr std::size_t most_successors = 8;
constexpr int most_accepted = 32;  // one after another, without a pause
constexpr int most_heard = 4;      // of one successor, as well
constexpr milliseconds accept_pause{20};

constexpr seconds hello_timeout{5};
/// Of one that has the sockets, while others wait for them; shared by these, as a start waits for five seconds.
constexpr milliseconds shared_time{3000};
constexpr milliseconds least_time{500};

/// Before SIGUSR2 is obeyed again after what it executed has failed, twice as long each time.
constexpr seconds first_pause{1};
constexpr seconds longest_pause{60};
constexpr seconds forgotten_after{300};

}  // namespace

take_over::take_over(own_command own, descriptor listener, std::optional<service_path> path,
                     std::optional<predecessor> before, milliseconds patience, milliseconds grace,
                     std::string must_stay, const pool_log& log)
    : own_{std::move(own)},
      listener_{std::move(listener)},
      path_{std::move(path)},
      before_{std::move(before)},
      may_predecessor_serve_{before_.has_value()},
      log_{log},
      patience_{patience},
      grace_{grace},
      must_stay_{std::move(must_stay)},
      owns_path_{!before_ && path_} {}

take_over::~take_over() { remove_path(); }

void take_over::remove_path() noexcept {
  if (std::exchange(owns_path_, false)) static_cast<void>(path_->remove_socket());
}

// --- from the pool before this one -----------------------------------------------------------------------------------

void take_over::say_ready() noexcept {
  if (!before_) return;
  before_->say_ready();
  owns_path_ = before_->is_ours() && path_;
}

std::string take_over::hear_predecessor() {
  if (!before_) return {};
  const auto verdict = before_->hear();
  owns_path_ = verdict == predecessor::verdict::ours && path_;
  if (before_->fd() >= 0) {
    if (const std::string late = before_->overdue(clock::now()); !late.empty()) log_.warning("take-over-waits", late);
    return {};
  }
  const predecessor last = std::move(*before_);
  before_.reset();
  may_predecessor_serve_ = !last.is_ours();
  return last.why();
}

// --- to another ------------------------------------------------------------------------------------------------------

std::optional<peer> take_over::close(const std::string& why) {
  listener_.reset();
  wanted_.reset();
  // It goes on at once, and need not wait for the end of this process.
  if (before_) {
    owns_path_ = before_->hear() == predecessor::verdict::ours && path_;
    if (before_->is_ours() && before_->fd() >= 0) {
      log_.warning("take-over-waits", before_->who().called() +
                                          ", from which this pool took over, has not heard so yet, and serves on when "
                                          "this one has ended; end it as well (one that is stopped: kill -CONT)");
    }
    if (!before_->is_ours()) before_.reset();
  }
  std::optional<peer> left;
  for (const auto& one : successors_) {
    hear(*one);  // it may have ended
    if (one->now() == phase::heir || (one->now() == phase::has && !one->is_executed())) {
      left = one->who();
      leave_path_to(*one);
      one->leave_sockets();
    } else {
      one->give_up(why);
      if (one->now() == phase::heir) {
        left = one->who();
        leave_path_to(*one);
      }
    }
  }
  tell_given_up_ones(clock::now());
  successors_.clear();
  // Now rather than in the end: another pool may listen there by then.
  remove_path();
  return left;
}

take_over::clock::time_point take_over::deadline_of(const successor& one) const noexcept {
  switch (one.now()) {
    case phase::silent:
      return one.since() + (one.is_executed() ? patience_ : milliseconds{hello_timeout});
    case phase::has: {
      const std::size_t others = waiting_by_path();
      if (others == 0) return one.since() + patience_;
      if (one.is_executed()) return one.since();
      return one.since() + std::min(patience_, std::max(least_time, shared_time / static_cast<int>(others)));
    }
    case phase::parting:
      return one.since() + accept_pause;
    default:
      return clock::time_point::max();
  }
}

take_over::clock::time_point take_over::wakes_at() const noexcept {
  auto next = clock::time_point::max();
  if (before_) next = std::min(next, before_->wakes_at());
  if (listener_ && hands_on() && accepts_from_ != clock::time_point::min()) next = std::min(next, accepts_from_);
  for (const auto& one : successors_) next = std::min(next, deadline_of(*one));
  for (const auto& one : executed_) next = std::min(next, one.until);
  if (wanted_ && !has_one_before_execution()) next = std::min(next, executes_from_);
  return next;
}

void take_over::begin(const sigset_t& mask) {
  const auto now = clock::now();
  if (!must_stay_.empty()) return log_.warning("take-over-refused", "SIGUSR2 is not obeyed: " + must_stay_);
  if (!has_one_before_execution() && now >= executes_from_) return execute(mask);
  // Once is enough to be told of it.
  if (!std::exchange(wanted_, mask)) {
    log_.warning("take-over-delayed",
                 is_ending() ? "SIGUSR2 is obeyed when what it executed before, whose take-over failed, has ended"
                 : is_asked_by_path() ? "SIGUSR2 is obeyed if the take-over by the path fails, which is under way"
                                      : "SIGUSR2 is obeyed in " + duration_text(executes_from_ - now) +
                                            ", as the last take-over that it began has failed");
  }
}

void take_over::execute_when_due(clock::time_point now) {
  if (!wanted_ || has_one_before_execution() || now < executes_from_) return;
  const sigset_t mask = *wanted_;
  wanted_.reset();
  execute(mask);
}

void take_over::execute(const sigset_t& mask) {
  const auto failed = [this](const std::string& why) { log_.error("take-over-failed", why); };
  // Whoever may send signals may ask without end.
  const auto refused = [this](const std::string& why) { log_.warning("take-over-busy", why, 1); };
  for (const auto& one : successors_) {
    if (one->is_executed()) {
      return refused("SIGUSR2: a take-over is under way already, by " + one->who().called() +
                     "; send it again when that is over");
    }
  }
  if (!hands_on()) {
    return refused("SIGUSR2: " + before_->who().called() + ", from which this pool takes over, has not let go yet; " +
                   "send it again later, and if that one is stopped: kill -CONT");
  }
  if (own_.path.empty()) return failed("this program's file is not known without /proc");
  // Whoever has a listener that another user made, which is root, hands sockets on to root's next start.
  std::string file = own_.path;
  std::string why_open;
  if (listener_ && peer::of(listener_.fd()).user != sys::effective_user()) {
    auto own = own_.look_whether_closed();
    why_open = std::move(own.why_not);
    if (why_open.empty()) file = std::move(own.path);
  }
  int ends[2];
  if (const int made = sys::socket_pair(SOCK_SEQPACKET, ends); made < 0) {
    return failed("taking over: socketpair: " + code_of(made).message());
  }
  descriptor ours{ends[0]};
  descriptor theirs{ends[1]};
  const pid_t pid = sys::fork();
  if (pid < 0) return failed("taking over: fork: " + code_of(pid).message());
  if (pid == 0) execute_own(file, theirs.fd(), mask);
  executed_.push_back({.pid = pid});
  successors_.push_back(std::make_unique<successor>(std::move(ours), pid, why_open.empty()));
  if (!why_open.empty()) {
    log_.warning("take-over-path", "the new parent gets no take-over path, as workers could take it from there: " +
                                       why_open + ". To have a path again, start the pool anew as root");
  }
  log_.notice("take-over-begun", "started " + own_.path + " (pid " + std::to_string(pid) + ") to take over");
}

/// In the child.
void take_over::execute_own(const std::string& file, int connection, const sigset_t& mask) const {
  // As workers: it is the user's, and for a moment open to it, and so not to have a terminal that is another's.
  static_cast<void>(sys::begin_session());
  static_cast<void>(sys::set_close_on_exec(connection, false));
  ::setenv(take_over_variable, std::to_string(connection).c_str(), 1);
  if (std::getenv("WATCHDOG_PID") != nullptr) ::setenv("WATCHDOG_PID", std::to_string(sys::process_id()).c_str(), 1);
  static_cast<void>(sys::signal_mask(SIG_SETMASK, mask));
  static_cast<void>(sys::execute(file.c_str(), pointers_to(own_.arguments).data(), environ));
  sys::end_child(status_not_executable);
}

std::vector<int> take_over::own_descriptors() const {
  std::vector<int> set;
  for (const int fd : {before_ ? before_->fd() : -1, listener_.fd(), path_ ? path_->folder() : -1}) {
    if (fd >= 0) set.push_back(fd);
  }
  for (const auto& one : successors_) set.push_back(one->fd());
  return set;
}

std::vector<int> take_over::descriptors() const {
  std::vector<int> set;
  if (before_ && before_->fd() >= 0) set.push_back(before_->fd());
  if (listener_ && hands_on() && accepts_from_ == clock::time_point::min()) set.push_back(listener_.fd());
  for (const auto& one : successors_) {
    // Readable for ever, and timed.
    if (one->now() != phase::parting) set.push_back(one->fd());
  }
  return set;
}

successor* take_over::in(phase which) const noexcept {
  const auto found =
      std::find_if(successors_.begin(), successors_.end(), [which](const auto& one) { return one->now() == which; });
  return found == successors_.end() ? nullptr : found->get();
}

std::size_t take_over::waiting_by_path() const noexcept {
  return static_cast<std::size_t>(std::count_if(successors_.begin(), successors_.end(), [](const auto& one) {
    return one->now() == phase::waits && !one->is_executed();
  }));
}

bool take_over::is_asked_by_path() const noexcept {
  return std::any_of(successors_.begin(), successors_.end(), [](const auto& one) {
    return !one->is_executed() && (one->now() == phase::waits || one->now() == phase::has);
  });
}

successor* take_over::first_waiting() const noexcept {
  const auto found = std::find_if(successors_.begin(), successors_.end(),
                                  [](const auto& one) { return one->now() == phase::waits && !one->is_executed(); });
  return found == successors_.end() ? in(phase::waits) : found->get();
}

void take_over::accept() {
  if (clock::now() < accepts_from_) return;
  accepts_from_ = clock::time_point::min();
  for (int accepted = 0; accepted < most_accepted; ++accepted) {
    if (!make_room()) break;
    const int connection = sys::accept(listener_.fd());
    if (connection == -EMFILE || connection == -ENFILE || connection == -ENOMEM || connection == -ENOBUFS) {
      accepts_from_ = clock::now() + seconds{1};
      return log_.error("take-over-failed", "taking a successor's connection: " + code_of(connection).message() +
                                                "; trying again in a second");
    }
    if (connection < 0) return;
    accept_one(descriptor{connection});
  }
  accepts_from_ = clock::now() + accept_pause;
}

void take_over::accept_one(descriptor connection) {
  auto came = std::make_unique<successor>(std::move(connection));
  if (!may_take_over(came->who(), listener_.fd())) {
    log_.warning("take-over-refused",
                 "a process of another user wanted the sockets, and was refused: " + came->description());
    return came->give_up("it belongs to another user; start as root, or as the user whose pool it is");
  }
  if (!must_stay_.empty()) {
    log_.warning("take-over-refused", "a take-over was refused, by " + came->description() + ": " + must_stay_);
    return came->give_up("it cannot be taken over from: " + must_stay_);
  }
  // One for each process.
  for (const auto& one : successors_) {
    if (came->who().pid > 0 && one->who().pid == came->who().pid && !one->is_executed()) {
      give_up(*one, "the same process has connected again");
    }
  }
  successors_.push_back(std::move(came));
}

/// Who says nothing has to go for another; who waits for the sockets or has them is left to it.
bool take_over::make_room() {
  std::erase_if(successors_, [](const auto& one) { return one->now() == phase::gone; });
  if (successors_.size() < most_successors) return true;
  for (const auto& one : successors_) {
    if (one->now() != phase::silent || one->is_executed()) continue;
    give_up(*one, "too many want to take over, and it said nothing");
    if (one->now() == phase::gone) return make_room();
  }
  return false;
}

void take_over::give_up(successor& one, const std::string& why) {
  const bool had_sockets = one.now() == phase::has;
  one.give_up(why);
  if (one.now() == phase::heir) return;
  log_.error("take-over-failed", "the take-over by " + one.who().called() + " failed: " + why +
                                     (had_sockets ? "; going on as before" : ""));
}

void take_over::hear(successor& one) {
  for (int heard = 0; heard < most_heard; ++heard) {
    const phase before = one.now();
    const std::string why = one.listen();
    if (!why.empty()) {
      log_.error("take-over-failed",
                 "the take-over by " + one.who().called() + " failed: " + why + "; going on as before");
    }
    if (one.now() == before || one.now() == phase::gone || one.now() == phase::heir) return;
  }
}

void take_over::give_up_late_ones(clock::time_point now) {
  for (const auto& one : successors_) {
    if (one->now() == phase::parting || one->now() == phase::gone || now < deadline_of(*one)) continue;
    if (one->now() == phase::silent) {
      give_up(*one, "it did not say in time what it wants");
    } else if (one->now() == phase::has) {
      const bool is_for_another = waiting_by_path() > 0 && now < one->since() + patience_;
      give_up(*one, !is_for_another      ? "its workers did not serve in time"
                    : one->is_executed() ? "another waits to take over by the path, which comes first"
                                         : "its workers did not serve in time, and another waits to take over");
    }
  }
}

void take_over::hand_to_next(const handed_sockets& sockets) {
  while (in(phase::has) == nullptr) {
    successor* const next = first_waiting();
    if (next == nullptr) return;
    if (const std::string why = next->hand(sockets); !why.empty()) {
      log_.error("take-over-failed",
                 "the take-over by " + next->who().called() + " failed: " + why + "; going on as before");
    } else {
      log_.notice("take-over-begun", next->who().called() + " takes the sockets over");
    }
  }
}

std::optional<peer> take_over::take_heir() {
  successor* const heir = in(phase::heir);
  if (heir == nullptr) return {};
  const peer who = heir->who();
  leave_path_to(*heir);
  listener_.reset();
  wanted_.reset();
  for (const auto& one : successors_) {
    if (one.get() != heir) one->give_up(who.called() + " has taken over meanwhile; try again");
  }
  tell_given_up_ones(clock::now());
  successors_.clear();
  return who;
}

/// One that has no listener has no use for the path, which goes before another pool may listen there.
void take_over::leave_path_to(const successor& heir) noexcept {
  if (heir.gets_listener()) {
    owns_path_ = false;
  } else {
    remove_path();
  }
}

std::optional<peer> take_over::look(const handed_sockets& sockets) {
  // What was said comes before that it was said late: this process may have been stopped.
  for (const auto& one : successors_) hear(*one);
  const auto now = clock::now();
  give_up_late_ones(now);
  if (auto heir = take_heir()) return heir;
  if (listener_ && hands_on()) accept();
  for (const auto& one : successors_) {
    if (one->now() == phase::silent) hear(*one);
  }
  give_up_late_ones(clock::now());  // what was executed, for who has come by the path
  if (auto heir = take_heir()) return heir;
  hand_to_next(sockets);
  tell_given_up_ones(now);
  execute_when_due(now);
  std::erase_if(successors_, [](const auto& one) { return one->now() == phase::gone; });
  return {};
}

std::vector<pid_t> take_over::reap() {
  using state = execution::state;
  std::vector<pid_t> ended;
  std::erase_if(executed_, [&](const execution& one) {
    const auto [pid, status] = sys::waitpid(one.pid);
    if (pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == status_not_executable) {
      log_.error("take-over-failed",
                 own_.path + " cannot be executed; is it still there, and executable? Mend that, and try again");
    }
    if (pid == 0) return false;
    // From now on its number may be another's.
    for (const auto& its : successors_) {
      if (its->executed() != one.pid) continue;
      if (const std::string why = its->note_end(); !why.empty()) {
        log_.error("take-over-failed",
                   "the take-over by " + its->who().called() + " failed: " + why + "; going on as before");
      }
    }
    if (one.now == state::runs) note_failure(clock::now());
    if (one.now != state::heir) ended.push_back(one.pid);
    return true;
  });
  std::erase_if(successors_, [](const auto& one) { return one->now() == phase::gone; });
  return ended;
}

// --- what was executed in vain ---------------------------------------------------------------------------------------

void take_over::note_failure(clock::time_point now) {
  const bool is_first = pause_ == seconds{0} || now - failed_at_ > forgotten_after;
  pause_ = is_first ? first_pause : std::min(2 * pause_, longest_pause);
  failed_at_ = now;
  executes_from_ = now + pause_;
}

/// Whoever is neither heir nor may become it: it was told why if it hears that, and may be another program by now.
void take_over::tell_given_up_ones(clock::time_point now) {
  using state = execution::state;
  for (execution& one : executed_) {
    if (one.now != state::runs) continue;
    const auto its = std::find_if(successors_.begin(), successors_.end(),
                                  [&one](const auto& which) { return which->executed() == one.pid; });
    const phase what = its == successors_.end() ? phase::gone : (*its)->now();
    if (what == phase::heir) one.now = state::heir;
    if (what != phase::gone && what != phase::parting) continue;
    static_cast<void>(sys::kill(one.pid, SIGTERM));
    one.now = state::told;
    one.until = now + grace_;
    note_failure(now);
  }
}

std::vector<pid_t> take_over::kill_late_ones(clock::time_point now) {
  using state = execution::state;
  std::vector<pid_t> killed;
  for (execution& one : executed_) {
    if (now < one.until) continue;
    const std::string who = "process " + std::to_string(one.pid) + ", which SIGUSR2 executed, ";
    if (one.now == state::killed) {
      log_.error("take-over-left", who + "was killed, and has not ended: " + why_not_gone(one.pid));
      one.now = state::left;
      one.until = clock::time_point::max();
      continue;
    }
    log_.warning("take-over-killed", who + "did not take over, did not end in time and is killed");
    static_cast<void>(sys::kill(-one.pid, SIGKILL));  // its process group
    static_cast<void>(sys::kill(one.pid, SIGKILL));
    one.now = state::killed;
    one.until = now + killing_time;
    killed.push_back(one.pid);
  }
  return killed;
}

void take_over::end_patience(clock::time_point now) noexcept {
  for (execution& one : executed_) {
    if (one.now == execution::state::told) one.until = now;
  }
}

bool take_over::is_ending() const noexcept {
  return std::any_of(executed_.begin(), executed_.end(), [](const execution& one) {
    return one.now == execution::state::told || one.now == execution::state::killed;
  });
}

std::vector<pid_t> take_over::executed() const {
  std::vector<pid_t> all;
  for (const execution& one : executed_) all.push_back(one.pid);
  return all;
}

std::vector<pid_t> take_over::living() const {
  std::vector<pid_t> all;
  for (const execution& one : executed_) {
    if (one.now != execution::state::killed && one.now != execution::state::left) all.push_back(one.pid);
  }
  return all;
}

}  // namespace udppump::detail
