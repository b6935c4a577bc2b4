#include <fmt/format.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>

#include "command.hpp"
#include "command_line.hpp"
#include "load/plan/quantity.hpp"
#include "pool_choice.hpp"
#include "udppump/descriptor.hpp"
#include "udppump/failure.hpp"
#include "udppump/pool_status.hpp"

namespace udppump::tools {
namespace {

using load::counted;

struct scale_settings {
  std::string pool;
  std::uint64_t workers = 0;
};

/// A process, and no other that has its id later (pidfd_open(2)).
class process {
 public:
  explicit process(pid_t pid) : id_{pid}, open_{static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))} {
    if (!open_) throw std::runtime_error{fmt::format("there is no process {}; give the id of a pool's parent", pid)};
  }
  /// SIGTTIN with a value, as by sigqueue(3).
  void order(std::uint64_t workers) const {
    siginfo_t what{};
    what.si_signo = SIGTTIN;
    what.si_code = SI_QUEUE;
    what.si_pid = ::getpid();
    what.si_uid = ::getuid();
    what.si_value.sival_int = static_cast<int>(workers);
    if (::syscall(SYS_pidfd_send_signal, open_.fd(), SIGTTIN, &what, 0) == 0) return;
    const int refused = errno;
    throw failure{{refused, std::generic_category()},
                  fmt::format("process {}", id_),
                  refused == EPERM ? "its user and root may change it, and nobody else" : "it has ended"};
  }

 private:
  pid_t id_;
  detail::descriptor open_;
};

int run(const scale_settings& settings) {
  using clock = std::chrono::steady_clock;
  constexpr std::chrono::seconds patience{10};
  constexpr std::chrono::milliseconds pause{10}, between_orders{500};
  const pool_reader pool = choose_pool(settings.pool);  // or it is no pool, and the signal would stop it
  const pid_t pid = pool.parent();
  const process parent{pid};
  const pool_status before = pool.read();
  if (settings.workers > before.max_workers) {
    throw std::runtime_error{
        fmt::format("process {} has room for {} at most; start it with --max-workers {}, or ask for fewer", pid,
                    counted(before.max_workers, "worker"), settings.workers)};
  }
  const auto until = clock::now() + patience;
  auto next_order = clock::now();
  for (pool_status now = before; now.workers_wanted != settings.workers; now = pool.read()) {
    if (now.scale_orders != before.scale_orders) {
      throw std::runtime_error{fmt::format(
          "process {} goes on with {}: it has refused, or somebody else asks for another number; its log says why", pid,
          counted(now.workers_wanted, "worker"))};
    }
    if (clock::now() >= until) {
      throw std::runtime_error{fmt::format("process {} has not answered for {} s: is it stopped, or has it no time?",
                                           pid, patience.count())};
    }
    // One that meets another that waits is lost (signal(7), standard signals).
    if (clock::now() >= next_order) {
      parent.order(settings.workers);
      next_order = clock::now() + between_orders;
    }
    std::this_thread::sleep_for(pause);
  }
  fmt::print("process {}: {} from now on, {} before\n", pid, counted(settings.workers, "worker"),
             before.workers_wanted);
  return exit_ok;
}

}  // namespace

void add_scale(CLI::App& app, action& chosen) {
  auto& sub = *app.add_subcommand("scale", "Change the number of workers of a pool that runs.");
  auto settings = std::make_shared<scale_settings>();
  constexpr std::uint64_t most_workers = 4096;
  add_parsed(sub, "POOL", settings->pool, not_empty, {"", "", "which pool: the process id of its parent, or its name"})
      ->required();
  add_parsed(sub, "N", settings->workers, count_in(1, most_workers), {"", "", "how many workers from now on"})
      ->required();
  sub.footer(
      "More workers are started at once; those with the highest numbers finish what they hold and end. A reload keeps\n"
      "the number, a pool that takes over begins with its own. Signals do the same by one: SIGTTIN one more, SIGTTOU\n"
      "one fewer.\n"
      "Exit codes: 0 so many from now on; 1 refused, or no answer; 2 wrong usage.");
  sub.callback([&chosen, settings] { chosen = [settings] { return run(*settings); }; });
}

}  // namespace udppump::tools
