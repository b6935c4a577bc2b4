#include "pool/metrics_process.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <exception>
#include <utility>

#include "pool/duration_text.hpp"
#include "pool/execute.hpp"
#include "pool/worker_end.hpp"
#include "sys/close_others.hpp"
#include "sys/cut_text.hpp"
#include "sys/failure.hpp"
#include "sys/sys.hpp"
#include "sys/sys_file.hpp"
#include "sys/sys_process.hpp"
#include "sys/sys_user.hpp"

namespace udppump::detail {

namespace {

constexpr std::chrono::milliseconds first_pause{500};
constexpr std::chrono::minutes longest_pause{1};
constexpr int memory_descriptor = 3;
constexpr int status_failed = 1;
/// A longer line is cut off. Of one process so much is heard in a turn, and in all.
constexpr std::size_t longest_line = 1024, one_read = 4096, most_reads = 4, most_heard = 1 << 16;

}  // namespace

metrics_process::metrics_process(wanted how, const pool_log& log)
    : how_{std::move(how)}, log_{log}, pause_{first_pause} {}

metrics_process::~metrics_process() {
  if (pid_ <= 0 || sys::kill(pid_, SIGKILL) < 0) return;
  static_cast<void>(sys::wait_for(pid_));
}

void metrics_process::look(clock::time_point now) {
  hear();
  if (pid_ > 0) {
    const auto [ended, status] = sys::waitpid(pid_);
    if (ended == 0) return;
    // What it said last stands before its end.
    for (std::size_t heard = 0; says_ && heard < most_heard; heard += most_reads * one_read) hear();
    hear_no_more();
    pool_log::fields more{{"pid", std::to_string(pid_)}};
    pid_ = 0;
    if (now - started_ >= longest_pause) pause_ = first_pause;
    std::string how = "is gone";
    if (ended > 0) {
      const bool is_killed = WIFSIGNALED(status);
      const std::string number = std::to_string(is_killed ? WTERMSIG(status) : WEXITSTATUS(status));
      how = (is_killed ? "was killed by signal " : "ended with code ") + number;
      more.emplace_back(is_killed ? "signal" : "code", number);
    }
    plan_start(how, std::move(more), now);
  }
  if (now >= start_at_) start(now);
}

void metrics_process::plan_start(const std::string& why, pool_log::fields more, clock::time_point now) {
  log_.warning(
      "metrics-ended",
      "the process that tells Prometheus of this pool " + why + "; another is started in " + duration_text(pause_),
      std::move(more));
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
  const auto cannot_start = [&](int refused) {
    plan_start("cannot be started: " + code_of(refused).message(), {}, now);
  };
  int ends[2];
  if (const int piped = sys::pipe_nonblocking(ends); piped < 0) return cannot_start(piped);
  descriptor reads{ends[0]};
  const descriptor writes{ends[1]};
  const pid_t child = sys::fork();
  if (child == 0) become_it(parent, pointers, writes.fd());
  if (child < 0) return cannot_start(static_cast<int>(child));
  pid_ = child;
  says_ = std::move(reads);
  line_.clear();
  heard_ = 0;
  has_listened_ = false;
  started_ = now;
  start_at_ = clock::time_point::max();
}

void metrics_process::hear() {
  std::array<char, one_read> text;
  for (std::size_t reads = 0; says_ && reads < most_reads; ++reads) {
    const ssize_t size = sys::read(says_.fd(), text.data(), text.size());
    if (size == -EAGAIN) return;
    if (size > 0) {
      heard_ += static_cast<std::size_t>(size);
      take({text.data(), static_cast<std::size_t>(size)});
    }
    if (size <= 0 || heard_ >= most_heard) hear_no_more();
  }
}

void metrics_process::take(std::string_view text) {
  for (const char one : text) {
    if (one == '\n') {
      tell(std::exchange(line_, {}));
    } else if (line_.size() <= longest_line) {  // one more than is told: it is marked as cut
      line_ += one;
    }
  }
}

void metrics_process::tell(std::string_view line) {
  // As `udppump metrics` prints them.
  constexpr std::string_view before = "metrics at http://", behind = "/metrics", own_name = "udppump: ";
  const std::string pid = std::to_string(pid_);
  if (!has_listened_ && line.starts_with(before) && line.ends_with(behind)) {
    has_listened_ = true;
    line.remove_prefix(before.size());
    line.remove_suffix(behind.size());
    const std::string where{line};
    return log_.info("metrics", "process " + pid + " tells Prometheus of this pool at " + where,
                     {{"pid", pid}, {"address", where}});
  }
  if (line.starts_with(own_name)) line.remove_prefix(own_name.size());
  if (line.empty()) return;
  const std::string text = shortened(line, longest_line);
  log_.warning("metrics-says", "the process that tells Prometheus of this pool: " + text,
               {{"pid", pid}, {"line", text}}, provoked_log::at_once);
}

void metrics_process::hear_no_more() {
  tell(std::exchange(line_, {}));
  says_.reset();
}

/// Without any of the environment: what is in it may be meant for the service alone.
void metrics_process::become_it(pid_t parent, const std::vector<char*>& arguments, int says) noexcept {
  char* const environment[] = {nullptr};
  try {
    static_cast<void>(sys::set_no_new_privileges());
    if (sys::begin_session() < 0) sys::end_child(status_failed);
    if (sys::signal_on_parents_end(SIGKILL) < 0 || sys::parent_id() != parent) sys::end_child(status_failed);
    const int nothing = sys::open("/dev/null", O_RDONLY);
    if (nothing < 0 || sys::duplicate_onto(nothing, STDIN_FILENO) < 0) sys::end_child(status_failed);
    for (const int fd : {STDOUT_FILENO, STDERR_FILENO}) {
      if (sys::duplicate_onto(says, fd) < 0) sys::end_child(status_failed);
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
