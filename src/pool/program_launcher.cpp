#include "pool/program_launcher.hpp"

#include <optional>
#include <string>

#include "pool/execute.hpp"
#include "pool/worker_process.hpp"
#include "sys/close_others.hpp"
#include "sys/failure.hpp"
#include "sys/sys_process.hpp"

namespace udppump::detail {

namespace {

constexpr char cure_of_limit[] =
    "raise the limit of open files (of workers: --limit nofile, or limits of a worker_pool; else ulimit -n)";

/// These sockets as descriptors 3, 4..., below `end`, which it returns, and the first as 0 too; not closed on exec.
std::vector<int> place(const std::vector<int>& sockets, int end) {
  const int first = 3;
  std::vector<int> moved;
  for (const int socket : sockets) {
    const int copy = sys::duplicate(socket, end);
    if (copy < 0) fail(copy, "sockets for the program", cure_of_limit);
    moved.push_back(copy);
  }
  const auto onto = [](int fd, int target) {
    if (const int placed = sys::duplicate_onto(fd, target); placed < 0) {
      fail(placed, "a socket as the program's descriptor " + std::to_string(target), cure_of_limit);
    }
  };
  std::vector<int> placed;
  for (std::size_t at = 0; at < moved.size(); ++at) {
    placed.push_back(first + static_cast<int>(at));
    onto(moved[at], placed.back());
  }
  onto(moved[0], 0);
  return placed;
}

/// Leads a session, and so a process group, with whatever it starts: signals go to all of it, so that a shell that
/// wraps the program does not leave it behind. With kill_mode::process the order to stop is for the program alone, and
/// what it has started has as long to end as it has.
class program_process : public worker_process {
 public:
  program_process(forked_worker forked, board& shared, std::size_t page, kill_mode kill)
      : worker_process{std::move(forked), shared, page}, group_{id_}, kill_{kill} {}
  ~program_process() override {
    if (pid_ > 0) signal_group(SIGKILL);
  }

  std::optional<worker_end> ended() override {
    auto end = worker_process::ended();
    if (end && kill_ == kill_mode::group) signal_group(SIGTERM);  // those it left
    return end;
  }
  void ask_to_stop() noexcept override {
    if (pid_ <= 0) return;
    if (kill_ == kill_mode::group) return signal_group(SIGTERM);
    static_cast<void>(sys::kill(pid_, SIGTERM));
  }
  bool kill() noexcept override {
    if (pid_ > 0) signal_group(SIGKILL);
    return worker_process::kill();  // which a group that holds others does not tell
  }
  bool abort() noexcept override {
    if (pid_ > 0) signal_group(SIGABRT);
    return worker_process::abort();
  }

 private:
  void signal_group(int signal) const noexcept {
    // It is about to begin its session; until then its signals are blocked, and none is lost.
    if (sys::kill(-group_, signal) == -ESRCH && pid_ > 0) static_cast<void>(sys::kill(pid_, signal));
  }

  const pid_t group_;
  const kill_mode kill_;
};

}  // namespace

std::vector<std::size_t> program_launcher::served_by(std::size_t number) const {
  std::vector<std::size_t> served;
  for (std::size_t at = 0; at < context_.sockets.size(); ++at) {
    if (context_.lanes.serves(number, context_.sockets.all()[at].lane())) served.push_back(at);
  }
  return served;
}

std::vector<std::string> program_launcher::environment(std::size_t number) const {
  auto environment = environment_for_worker(number);
  environment.push_back("LISTEN_PID=" + std::to_string(sys::process_id()));
  const auto passed = served_by(number);
  environment.push_back("LISTEN_FDS=" + std::to_string(passed.size()));
  std::string names;
  for (const std::size_t at : passed) names += (names.empty() ? "" : ":") + context_.sockets.called()[at].full_name();
  environment.push_back("LISTEN_FDNAMES=" + names);
  if (options_.hang_timeout.count() != 0) {
    environment.push_back("WATCHDOG_USEC=" + std::to_string(std::chrono::microseconds{options_.hang_timeout}.count()));
  }
  if (!notify_.empty()) environment.push_back("NOTIFY_SOCKET=" + notify_);
  return environment;
}

std::unique_ptr<running_worker> program_launcher::start(const assignment& what) {
  std::optional<program_outputs::made> output;
  if (outputs_ != nullptr) output = outputs_->make(what.number);
  const auto in_child = [&](int lifeline) {
    auto variables = environment(what.number);
    constexpr int standard_error = 2;
    if (output) {
      if (const int put = sys::duplicate_onto(output->writes.fd(), standard_error); put < 0) {
        fail(put, "the program's stderr", cure_of_limit);
      }
    }
    // Above the sockets, and left open: a program that becomes another user is still ended with the parent.
    const int end = 3 + static_cast<int>(context_.sockets.size());
    const int above = sys::duplicate(lifeline, end);
    if (above < 0) fail(above, "the lifeline of the program", cure_of_limit);
    std::vector<int> sockets;
    for (const std::size_t at : served_by(what.number)) sockets.push_back(context_.sockets.all()[at].fd());
    exclusive_.add_to(variables, sockets);
    std::vector<int> kept = place(sockets, end);
    kept.push_back(above);
    static_cast<void>(sys::set_close_on_exec(above, false));
    // What else is open was left so by whoever started this process, and is no business of the program's.
    close_others(std::move(kept));
    static_cast<void>(sys::signal_mask(SIG_SETMASK, context_.signal_mask));
    return execute(program_.path(), program_.arguments(), variables, context_.shared.page(what.page));
  };
  try {
    forked_worker forked = fork_worker(context_, what, in_child);
    if (output) outputs_->belongs_to(output->which, forked.pid);
    return std::make_unique<program_process>(std::move(forked), context_.shared, what.page, options_.kill);
  } catch (...) {
    if (output) outputs_->belongs_to(output->which, 0);
    throw;
  }
}

}  // namespace udppump::detail
