#include "pool/take_over.hpp"

#include <algorithm>
#include <cstdlib>

#include "pool/execute.hpp"
#include "pool/worker_end.hpp"
#include "sys/failure.hpp"
#include "sys/service_path.hpp"
#include "sys/sys_file.hpp"
#include "sys/sys_process.hpp"

namespace udppump::detail {

namespace {

constexpr std::chrono::seconds hello_timeout{5};

}  // namespace

take_over::take_over(own_command own, descriptor listener, std::string path, std::optional<predecessor> before,
                     std::chrono::milliseconds patience, const pool_log& log)
    : own_{std::move(own)},
      listener_{std::move(listener)},
      path_{std::move(path)},
      before_{std::move(before)},
      log_{log},
      patience_{patience},
      owns_path_{!before_ && !path_.empty()} {}

take_over::~take_over() { remove_path(); }

void take_over::remove_path() noexcept {
  if (std::exchange(owns_path_, false)) static_cast<void>(service_path::remove_socket_at(path_));
}

void take_over::say_ready() noexcept {
  if (!before_) return;
  before_->say_ready();
  before_.reset();
  owns_path_ = !path_.empty();
}

std::string take_over::hear_predecessor() {
  if (!before_) return {};
  std::string why = before_->hear();
  if (before_->fd() < 0) {
    before_.reset();
    owns_path_ = why.empty() && !path_.empty();  // it died, and this pool goes on with what it has
  }
  return why;
}

void take_over::close(const std::string& why) noexcept {
  listener_.reset();
  // Now rather than in the end: another pool may listen there by then.
  remove_path();
  if (!after_) return;
  after_->refuse(why);
  after_.reset();
}

take_over::clock::time_point take_over::wakes_at() const noexcept {
  constexpr auto never = clock::time_point::max();
  const bool pauses = listener_ && accepts_from_ != clock::time_point::min();
  return std::min(after_ ? deadline_ : never, pauses ? accepts_from_ : never);
}

void take_over::begin(const sigset_t& mask) {
  if (after_) return log_.warning("take-over-refused", "a take-over is under way already");
  if (own_.path.empty()) return log_.error("take-over-failed", "this program's file is not known without /proc");
  int ends[2];
  if (const int made = sys::socket_pair(SOCK_SEQPACKET, ends); made < 0) {
    return log_.error("take-over-failed", "taking over: socketpair: " + code_of(made).message());
  }
  descriptor ours{ends[0]};
  descriptor theirs{ends[1]};
  const pid_t pid = sys::fork();
  if (pid < 0) return log_.error("take-over-failed", "taking over: fork: " + code_of(pid).message());
  if (pid == 0) execute_own(theirs.fd(), mask);
  executed_ = pid;
  after_ = std::make_unique<successor>(std::move(ours));
  deadline_ = clock::now() + patience_;
  log_.notice("take-over-begun", "started " + own_.path + " (pid " + std::to_string(pid) + ") to take over");
}

/// In the child.
void take_over::execute_own(int connection, const sigset_t& mask) const {
  static_cast<void>(sys::set_close_on_exec(connection, false));
  ::setenv(take_over_variable, std::to_string(connection).c_str(), 1);
  if (std::getenv("WATCHDOG_PID") != nullptr) ::setenv("WATCHDOG_PID", std::to_string(sys::process_id()).c_str(), 1);
  static_cast<void>(sys::signal_mask(SIG_SETMASK, mask));
  static_cast<void>(sys::execute(own_.path.c_str(), pointers_to(own_.arguments).data(), environ));
  sys::end_child(status_not_executable);
}

std::vector<int> take_over::descriptors() const {
  std::vector<int> set;
  if (before_) set.push_back(before_->fd());
  if (listener_ && accepts_from_ == clock::time_point::min()) set.push_back(listener_.fd());
  if (after_) set.push_back(after_->fd());
  return set;
}

void take_over::accept() {
  if (clock::now() < accepts_from_) return;
  accepts_from_ = clock::time_point::min();
  const int accepted = sys::accept(listener_.fd());
  if (accepted == -EMFILE || accepted == -ENFILE || accepted == -ENOMEM || accepted == -ENOBUFS) {
    accepts_from_ = clock::now() + std::chrono::seconds{1};
    return log_.error("take-over-failed", "taking a successor's connection: " + code_of(accepted).message());
  }
  if (accepted < 0) return;
  auto came = std::make_unique<successor>(descriptor{accepted});
  if (!came->is_trusted()) {
    came->refuse("it belongs to another user");
    return log_.warning("take-over-refused", "a process of another user wanted the sockets, and was refused");
  }
  if (after_) {
    came->refuse("a take-over is under way already; try again");
    return log_.warning("take-over-refused", "a take-over is under way already; another was refused");
  }
  after_ = std::move(came);
  deadline_ = clock::now() + hello_timeout;
}

void take_over::give_up_late_one() {
  if (clock::now() < deadline_) return;
  after_->refuse("its workers did not serve in time");
  after_.reset();
  log_.error("take-over-failed", "who wanted to take over did not do so in time; going on as before");
}

std::optional<pid_t> take_over::look(const handed_sockets& sockets) {
  if (listener_) accept();
  if (!after_) return {};
  const std::string who = after_->pid() != 0 ? "pid " + std::to_string(after_->pid()) : "a new process";
  switch (after_->listen(sockets)) {
    case successor::news::nothing:
      give_up_late_one();
      break;
    case successor::news::took_sockets:
      deadline_ = clock::now() + patience_;
      log_.notice("take-over-begun", "pid " + std::to_string(after_->pid()) + " takes the sockets over");
      break;
    case successor::news::ready: {
      const pid_t heir = after_->pid();
      owns_path_ = false;
      listener_.reset();
      after_.reset();
      return heir;
    }
    case successor::news::gone:
      after_.reset();
      log_.error("take-over-failed",
                 "the take-over by " + who + " failed before its workers served; going on as before");
  }
  return {};
}

void take_over::reap() {
  if (executed_ == 0) return;
  const auto [pid, status] = sys::waitpid(executed_);
  if (pid == 0) return;
  executed_ = 0;
  if (pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == status_not_executable) {
    log_.error("take-over-failed", own_.path + " cannot be executed");
  }
}

}  // namespace udppump::detail
