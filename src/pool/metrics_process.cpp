#include "pool/metrics_process.hpp"

#include <algorithm>
#include <exception>
#include <utility>

#include "pool/duration_text.hpp"
#include "pool/execute.hpp"
#include "pool/worker_end.hpp"
#include "sys/close_others.hpp"
#include "sys/failure.hpp"
#include "sys/sys_file.hpp"
#include "sys/sys_process.hpp"
#include "sys/sys_user.hpp"

namespace udppump::detail {

namespace {

constexpr std::chrono::milliseconds first_pause{500};
constexpr std::chrono::minutes longest_pause{1};
constexpr int memory_descriptor = 3;
constexpr int status_failed = 1;

}  // namespace

metrics_process::metrics_process(wanted how, const pool_log& log)
    : how_{std::move(how)}, log_{log}, pause_{first_pause} {}

metrics_process::~metrics_process() {
  if (pid_ <= 0 || sys::kill(pid_, SIGKILL) < 0) return;
  static_cast<void>(sys::wait_for(pid_));
}

void metrics_process::look(clock::time_point now) {
  if (pid_ > 0) {
    const auto [ended, status] = sys::waitpid(pid_);
    if (ended == 0) return;
    pid_ = 0;
    if (now - started_ >= longest_pause) pause_ = first_pause;
    plan_start(ended < 0             ? "is gone"
               : WIFSIGNALED(status) ? "was killed by signal " + std::to_string(WTERMSIG(status))
                                     : "ended with code " + std::to_string(WEXITSTATUS(status)),
               now);
  }
  if (now >= start_at_) start(now);
}

void metrics_process::plan_start(const std::string& why, clock::time_point now) {
  log_.warning("metrics-ended", "the process that tells Prometheus of this pool " + why + "; another is started in " +
                                    duration_text(pause_));
  start_at_ = now + pause_;
  pause_ = std::min<clock::duration>(2 * pause_, longest_pause);
}

void metrics_process::start(clock::time_point now) {
  const pid_t parent = sys::process_id();
  // All that may allocate is done before the fork.
  const std::vector<std::string> arguments{
      "udppump", "metrics", "--memory", std::to_string(memory_descriptor), "--parent", std::to_string(parent),
      how_.where};
  const auto pointers = pointers_to(arguments);
  const pid_t child = sys::fork();
  if (child == 0) become_it(parent, pointers);
  if (child < 0) return plan_start("cannot be started: " + code_of(child).message(), now);
  pid_ = child;
  started_ = now;
  start_at_ = clock::time_point::max();
  log_.info("metrics", "process " + std::to_string(child) + " tells Prometheus of this pool at " + how_.where);
}

/// Without any of the environment: what is in it may be meant for the service alone.
void metrics_process::become_it(pid_t parent, const std::vector<char*>& arguments) noexcept {
  char* const environment[] = {nullptr};
  try {
    static_cast<void>(sys::set_no_new_privileges());
    if (sys::begin_session() < 0) sys::end_child(status_failed);
    if (sys::signal_on_parents_end(SIGKILL) < 0 || sys::parent_id() != parent) sys::end_child(status_failed);
    // What it says of why it cannot listen goes where this process's own log may go.
    const int nothing = sys::open("/dev/null", O_RDWR);
    if (nothing < 0) sys::end_child(status_failed);
    for (const int fd : {STDIN_FILENO, STDOUT_FILENO}) {
      if (sys::duplicate_onto(nothing, fd) < 0) sys::end_child(status_failed);
    }
    if (sys::duplicate_onto(how_.memory.fd(), memory_descriptor) < 0) sys::end_child(status_failed);
    if (sys::set_close_on_exec(memory_descriptor, false) < 0) sys::end_child(status_failed);
    close_others({memory_descriptor});
    static_cast<void>(sys::signal_mask(SIG_SETMASK, how_.signal_mask));
    static_cast<void>(sys::execute(how_.program.c_str(), arguments.data(), environment));
  } catch (const std::exception&) {
    sys::end_child(status_failed);
  }
  sys::end_child(status_not_executable);
}

}  // namespace udppump::detail
