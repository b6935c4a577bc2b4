#include "pool/worker_process.hpp"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>

#include "pool/worker_setup.hpp"
#include "sys/failure.hpp"
#include "sys/process_status.hpp"
#include "sys/sys_process.hpp"

namespace udppump::detail {

/// A process whose end a tracer has not taken note of cannot be waited for by its parent (ptrace(2)).
std::string why_not_gone(pid_t pid) {
  const auto tracer = std::atol(status_of_process(pid, "TracerPid").c_str());
  if (tracer > 0) return "process " + std::to_string(tracer) + ", which traces it, keeps it; end that process";
  return "a system call that it is in cannot be interrupted, mostly because a disk or server does not answer";
}

std::optional<worker_end> worker_process::ended() {
  if (pid_ <= 0) return {};
  const auto [pid, status] = sys::waitpid(pid_);
  if (pid == 0) return {};
  pid_ = 0;
  worker_end end{.words = last_words(page_)};
  if (pid < 0) {
    end.words = "another part of the program waited for it; wait for your own children only, by their ids";  // ECHILD
    return end;
  }
  end.by_signal = WIFSIGNALED(status);
  end.left_core = end.by_signal && WCOREDUMP(status);
  end.code = end.by_signal ? WTERMSIG(status) : WEXITSTATUS(status);
  end.hopeless = !end.by_signal && end.code >= status_no_setup && !end.words.empty();
  return end;
}

worker_process::~worker_process() {
  if (pid_ <= 0 || !worker_process::kill() || is_left_) return;
  using clock = std::chrono::steady_clock;
  constexpr std::chrono::milliseconds pause{1};
  for (const auto until = clock::now() + killing_time; sys::waitpid(pid_).pid == 0 && clock::now() < until;) {
    std::this_thread::sleep_for(pause);
  }
}

bool worker_process::kill() noexcept { return pid_ <= 0 || sys::kill(pid_, SIGKILL) != -EPERM; }

bool worker_process::abort() noexcept { return pid_ <= 0 || sys::kill(pid_, SIGABRT) != -EPERM; }

void paged_worker_process::ask_to_stop() noexcept {
  page_.orders.fetch_or(order_stop, std::memory_order_release);
  shared_.notify(at_);
}

forked_worker fork_worker(const launch_context& context, const assignment& what,
                          const std::function<int(int lifeline)>& in_child) {
  int ends[2];
  if (const int made = sys::pipe_nonblocking(ends); made < 0) fail_with_cure(made, "pipe for a worker");
  lifeline line{.workers_end = descriptor{ends[0]}, .parents_end = descriptor{ends[1]}};
  // What is in the buffers now would be written by both.
  std::fflush(nullptr);
  const pid_t parent = sys::process_id();
  const pid_t pid = sys::fork();
  if (pid == -EAGAIN) {
    fail(pid, "fork", "raise the limit on processes (ulimit -u, systemd's TasksMax=), or ask for fewer workers");
  }
  if (pid < 0) fail_with_cure(pid, "fork");
  if (pid > 0) {
    context.shared.page(what.page).pid = pid;
    return {pid, std::move(line)};
  }
  int status = status_no_setup;
  try {
    // Of its own, so that the terminal that the parent was started from is not its controlling terminal, to which it
    // could type in the name of who sits there (TIOCSTI); and Ctrl-C there is the parent's alone.
    if (const pid_t session = sys::begin_session(); session < 0) fail_with_cure(session, "setsid");
    for (const int fd : context.parents_own) sys::close(fd);
    context.shared.leave_other_signals(what.page);
    line.parents_end.reset();
    if (end_with_parent(parent, line.workers_end.fd())) {
      set_up_worker(context.options, what.number, false);
      status = in_child(line.workers_end.fd());
    }
  } catch (const std::exception& refused) {
    leave_last_words(context.shared.page(what.page), refused.what());
  }
  std::fflush(nullptr);
  sys::end_child(status);
}

}  // namespace udppump::detail
