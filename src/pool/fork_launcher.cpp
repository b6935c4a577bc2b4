#include <cstdio>
#include <cstring>

#include "pool/process.hpp"
#include "pool/worker_setup.hpp"
#include "sys/failure.hpp"
#include "sys/sys_process.hpp"

namespace udppump::detail {

std::optional<worker_end> process::ended() {
  if (pid_ <= 0) return {};
  const auto [pid, status] = sys::waitpid(pid_);
  if (pid == 0) return {};
  pid_ = 0;
  worker_end end{.words = page_.last_words};
  if (pid < 0) {
    end.words = "somebody else waited for it";  // ECHILD: SIGCHLD is ignored, or the program waits for any child
    return end;
  }
  end.by_signal = WIFSIGNALED(status);
  end.code = end.by_signal ? WTERMSIG(status) : WEXITSTATUS(status);
  end.hopeless = !end.by_signal && end.code >= status_no_setup && !end.words.empty();
  return end;
}

process::~process() {
  if (pid_ <= 0) return;
  static_cast<void>(sys::kill(pid_, SIGKILL));
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
}

bool process::kill() noexcept {
  if (pid_ > 0) static_cast<void>(sys::kill(pid_, SIGKILL));
  return true;
}

pid_t fork_worker(const launch_context& context, const assignment& what, const std::function<int()>& in_child) {
  // What is in the buffers now would be written by both.
  std::fflush(nullptr);
  const pid_t parent = ::getpid();
  const pid_t pid = sys::fork();
  if (pid == -EAGAIN) {
    fail(pid, "fork: raise the limit on processes (ulimit -u, systemd's TasksMax=), or take fewer workers");
  }
  if (pid < 0) fail(pid, "fork");
  if (pid > 0) {
    context.shared->page(what.page).pid = pid;
    return pid;
  }
  int status = status_no_setup;
  try {
    for (const int fd : context.parents_own) sys::close(fd);
    if (end_with(parent)) {
      set_up_worker(context.options, what.number, false);
      status = in_child();
    }
  } catch (const std::exception& refused) {
    leave_last_words(context.shared->page(what.page), refused.what());
  }
  std::fflush(nullptr);
  ::_exit(status);
}

namespace {

class fork_launcher : public launcher {
 public:
  fork_launcher(const launch_context& context, worker_body body) : context_{context}, body_{std::move(body)} {}

  std::unique_ptr<running_worker> start(const assignment& what) override {
    static_cast<void>(context_.shared->page_signal(what.page));
    const pid_t pid = fork_worker(context_, what, [&] {
      take_workers_signals(*context_.shared, what.page);
      ::sigprocmask(SIG_SETMASK, &context_.signal_mask, nullptr);
      return run_body(context_, what, body_).code;
    });
    return std::make_unique<paged_process>(pid, *context_.shared, what.page);
  }
  bool keeps_pages() const noexcept override { return true; }

 private:
  const launch_context& context_;
  const worker_body body_;
};

}  // namespace

std::unique_ptr<launcher> make_fork_launcher(const launch_context& context, worker_body body) {
  return std::make_unique<fork_launcher>(context, std::move(body));
}

}  // namespace udppump::detail
