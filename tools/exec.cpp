#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <filesystem>
#include <initializer_list>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>

#include "command.hpp"
#include "event_log.hpp"
#include "exec_options.hpp"
#include "help_formatter.hpp"
#include "lane_option.hpp"
#include "udppump/worker_pool.hpp"

namespace udppump::tools {

namespace {

/// Of exec, beside those that all subcommands share (command.hpp) and what a pool ends with (pool_result).
constexpr int exit_no_set_up = 3;
constexpr int exit_no_worker = static_cast<int>(pool_result::crash_loop);
constexpr int exit_not_executable = static_cast<int>(pool_result::not_executable);
constexpr int exit_not_found = static_cast<int>(pool_result::not_found);

constexpr char exit_codes[] =
    R"(SIZE is in bytes, or has K, M or G behind it (powers of 1024). TIME may have us, ms, s, min or h behind it; without, it
is in the unit named above.

Exit codes:
    0  stopped as told, or another process has taken over
    2  wrong usage: an option or a value, or it names what is not here (a user, a file, an address)
    3  could not listen: port in use, no permission, an unusable descriptor from systemd
    4  workers could not be started or kept alive (a crash loop)
    5  stopped as told, but workers had to be killed
  126  the program cannot be executed
  127  the program was not found
Signals: TERM and INT stop it, a second one at once; HUP replaces the workers one by one; TTIN adds one, TTOU takes
one away; USR2 starts udppump anew, which takes the sockets over. More: udppump-exec(1))";

/// Adds what CLI11 knows nothing of: the program in the usage line.
class exec_formatter : public help_formatter {
 public:
  std::string make_usage(const CLI::App*, std::string) const override {
    return "Usage: udppump exec [OPTIONS] -- PROGRAM [ARGS...]\n";
  }
};

std::atomic<worker_pool*> about_to_run{nullptr};  // a signal handler gets at nothing else
std::atomic<pid_t> parent{0};
static_assert(std::atomic<worker_pool*>::is_always_lock_free && std::atomic<pid_t>::is_always_lock_free);

extern "C" void on_signal(int signal) {
  if (::getpid() != parent) {  // a worker that has not executed its program yet
    ::signal(signal, SIG_DFL);
    ::raise(signal);
    return;
  }
  worker_pool* const pool = about_to_run;
  if (pool != nullptr && (signal == SIGTERM || signal == SIGINT)) pool->request_stop();
}

/// By its own function, unless it is ignored, as nohup has it.
void handle(std::initializer_list<int> signals) {
  for (const int signal : signals) {
    struct sigaction handling {};
    if (::sigaction(signal, nullptr, &handling) != 0 || handling.sa_handler != SIG_DFL) continue;
    handling.sa_handler = on_signal;
    ::sigaction(signal, &handling, nullptr);
  }
}

/// While it lives, SIGTERM and SIGINT stop `pool`, also before run() takes them, and after it let this process end as
/// it would: with its pid file removed.
class stops_by_signal {
 public:
  explicit stops_by_signal(worker_pool& pool) {
    about_to_run = &pool;
    handle({SIGTERM, SIGINT});
  }
  ~stops_by_signal() { about_to_run = nullptr; }
  stops_by_signal(const stops_by_signal&) = delete;
  stops_by_signal& operator=(const stops_by_signal&) = delete;
};

/// Of the program's file, if a pool may be called so.
std::string name_after(const std::string& path) {
  std::string file = path.substr(path.rfind('/') + 1);
  return why_no_pool_name(file).empty() ? file : std::string{};
}

/// The library to preload that was installed, or built, with this program; none if /proc does not tell where that is.
std::string library_beside_this_program() {
  std::error_code unknown;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", unknown);
  if (unknown) return {};
  return (program.parent_path() / UDPPUMP_LIBRARY_FROM_PROGRAM / "udppump/libudppump_exclusive.so").lexically_normal();
}

int run_program(exec_options& wanted, const event_log& log) {
  // Before anything is opened or bound.
  const auto fail = [&](const std::exception& why, int code) {
    const pool_event event{.severity = pool_event::level::error, .name = "failed", .text = why.what()};
    log.write(event);
    if (wanted.form == log_form::journal) event_log{log_form::text, event.severity}.write(event);
    return code;
  };
  std::optional<worker_program> program;
  try {
    program.emplace(wanted.program);
  } catch (const std::system_error& error) {
    const auto code = error.code();
    return fail(error, code == std::errc::invalid_argument            ? int{exit_usage}
                       : code == std::errc::no_such_file_or_directory ? exit_not_found
                                                                      : exit_not_executable);
  }

  if (wanted.pool.name.empty()) wanted.pool.name = name_after(wanted.program.front());
  wanted.run.exclusive_library = library_beside_this_program();
  wanted.pool.end_orphans = true;  // this process has no other children
  wanted.pool.log = [&log](const pool_event& event) { log.write(event); };
  // Before there is a pid file, by which somebody may send these: until run() takes them there is nothing to reload.
  parent = ::getpid();
  handle({SIGHUP, SIGUSR2, SIGTTIN, SIGTTOU});
  std::optional<worker_pool> pool;
  try {
    pool.emplace(wanted.pool);
  } catch (const std::invalid_argument& error) {
    return fail(error, exit_usage);
  } catch (const std::system_error& error) {
    return fail(error, code_of(error.code(), exit_no_set_up));
  }
  try {
    const stops_by_signal stops{*pool};
    return pool->run(*program, wanted.run);
  } catch (const std::invalid_argument& error) {
    return fail(error, exit_usage);
  } catch (const std::system_error& error) {
    return fail(error, exit_no_worker);
  }
}

int run(const CLI::App& app, exec_options& wanted) {
  if (wanted.program.empty()) throw CLI::ValidationError{"no program is given; write it after \"--\""};
  check_together(app, wanted);
  add_rest(wanted.pool.lanes);
  const event_log log{wanted.form, wanted.quiet ? pool_event::level::warning : pool_event::level::info};
  return run_program(wanted, log);
}

}  // namespace

void add_exec(CLI::App& app, const std::vector<std::string>& program, action& chosen) {
  CLI::App& exec = *app.add_subcommand("exec", "Run copies of any program on the same sockets, and keep them alive.");
  const auto wanted = std::make_shared<exec_options>();
  wanted->program = program;
  exec.formatter(std::make_shared<exec_formatter>());
  exec.footer(exit_codes);
  add_listening_options(exec, *wanted);
  add_worker_options(exec, *wanted);
  add_privilege_options(exec, *wanted);
  add_telling_options(exec, *wanted);
  exec.callback([&exec, &chosen, wanted] { chosen = [&exec, wanted] { return run(exec, *wanted); }; });
}

}  // namespace udppump::tools
