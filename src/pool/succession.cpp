#include "pool/succession.hpp"

#include <cstdlib>

#include "failure.hpp"
#include "sys_process.hpp"

namespace udppump::detail {

succession::succession(own_command own, descriptor listener, std::string path, std::optional<predecessor> before,
                       const pool_log& log)
    : own_{std::move(own)},
      listener_{std::move(listener)},
      path_{std::move(path)},
      before_{std::move(before)},
      log_{log} {}

succession::~succession() {
  if (!handed_over_ && !path_.empty()) static_cast<void>(sys::unlink(path_.c_str()));
}

void succession::say_ready() noexcept {
  if (!before_) return;
  before_->say_ready();
  before_.reset();
}

void succession::begin(const sigset_t& mask) {
  if (after_) return log_.warning("take-over-refused", "a take-over is under way already");
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
    return log_.error("take-over-failed", "taking over: socketpair: " + code_of(errno).message());
  }
  descriptor ours{ends[0]};
  descriptor theirs{ends[1]};
  const pid_t pid = sys::fork();
  if (pid < 0) return log_.error("take-over-failed", "taking over: fork: " + code_of(pid).message());
  if (pid > 0) {
    executed_ = pid;
    after_ = std::make_unique<successor>(std::move(ours));
    return log_.notice("take-over-begun", "started " + own_.path + " (pid " + std::to_string(pid) + ") to take over");
  }
  static_cast<void>(sys::set_close_on_exec(theirs.fd(), false));
  ::setenv("UDPPUMP_TAKE_OVER", std::to_string(theirs.fd()).c_str(), 1);
  if (std::getenv("WATCHDOG_PID") != nullptr) ::setenv("WATCHDOG_PID", std::to_string(::getpid()).c_str(), 1);
  std::vector<char*> arguments;
  for (const std::string& one : own_.arguments) arguments.push_back(const_cast<char*>(one.c_str()));
  arguments.push_back(nullptr);
  ::sigprocmask(SIG_SETMASK, &mask, nullptr);
  ::execv(own_.path.c_str(), arguments.data());
  ::_exit(status_not_executable);
}

std::vector<int> succession::descriptors() const {
  std::vector<int> set;
  if (listener_) set.push_back(listener_.fd());
  if (after_) set.push_back(after_->fd());
  return set;
}

void succession::accept() {
  const int accepted = sys::accept(listener_.fd());
  if (accepted < 0) return;
  auto came = std::make_unique<successor>(descriptor{accepted});
  if (!came->is_trusted()) {
    return log_.warning("take-over-refused", "a process of another user wanted the sockets, and was refused");
  }
  if (after_) return log_.warning("take-over-refused", "a take-over is under way already; another was refused");
  after_ = std::move(came);
}

std::optional<pid_t> succession::look(const std::vector<successor::offered>& sockets) {
  if (listener_) accept();
  if (!after_) return {};
  const std::string who = "pid " + std::to_string(after_->pid());
  switch (after_->listen(sockets)) {
    case successor::news::nothing:
      break;
    case successor::news::took_sockets:
      log_.notice("take-over-begun", "pid " + std::to_string(after_->pid()) + " takes the sockets over");
      break;
    case successor::news::ready:
      handed_over_ = true;
      close();
      return after_->pid();
    case successor::news::gone:
      if (handed_over_) break;
      after_.reset();
      log_.error("take-over-failed",
                 "the take-over by " + who + " failed before its workers served; going on as before");
  }
  return {};
}

void succession::reap() {
  if (executed_ == 0) return;
  const auto [pid, status] = sys::waitpid(executed_);
  if (pid == 0) return;
  executed_ = 0;
  if (pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == status_not_executable) {
    log_.error("take-over-failed", own_.path + " cannot be executed");
  }
}

}  // namespace udppump::detail
