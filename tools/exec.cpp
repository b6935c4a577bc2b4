#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "command.hpp"
#include "event_log.hpp"
#include "help_formatter.hpp"
#include "pid_file.hpp"
#include "quantity.hpp"
#include "udppump/worker_pool.hpp"

namespace udppump::tools {

namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

/// Of exec, beside those that all subcommands share and what a pool ends with (pool_result).
enum exec_code : int { exit_no_set_up = 3, exit_no_worker = 4, exit_not_executable = 126, exit_not_found = 127 };

constexpr char exit_codes[] = R"(Exit codes:
    0  stopped as told, or another process has taken over
    2  wrong usage: an option, a value, or a name in it that is not known here
    3  could not listen: port in use, no permission, an unusable descriptor from systemd
    4  workers could not be started or kept alive (a crash loop)
    5  stopped as told, but workers had to be killed
  126  the program cannot be executed
  127  the program was not found
Signals: TERM and INT stop it, a second one at once; HUP replaces the workers one by one; USR2 starts udppump anew,
which takes the sockets over. More: udppump-exec(1))";

/// What the command line says.
struct wishes {
  std::vector<std::string> program;
  pool_options pool;
  program_options run;
  log_form form = log_form::text;
  bool quiet = false;
  std::string pid_path;
};

/// Adds what CLI11 knows nothing of: the program in the usage line.
class exec_formatter : public help_formatter {
 public:
  std::string make_usage(const CLI::App*, std::string) const override {
    return "Usage: udppump exec [OPTIONS] -- PROGRAM [ARGS...]\n";
  }
};

/// An option whose text `read` understands, or refuses with std::invalid_argument.
template <typename Read>
CLI::Option* add_text(CLI::App& app, const std::string& name, const std::string& type, Read read,
                      const std::string& description) {
  const auto call = [name, read](const std::vector<std::string>& texts) {
    try {
      for (const std::string& text : texts) read(text);
    } catch (const std::invalid_argument& refused) {
      throw CLI::ValidationError{name, refused.what()};
    }
  };
  return app.add_option_function<std::vector<std::string>>(name, call, description)
      ->type_name(type)
      ->expected(1)
      ->allow_extra_args(false);
}

void add_where(CLI::App& app, wishes& wanted) {
  constexpr char group[] = "Listening";
  socket_options& socket = wanted.pool.socket;
  add_text(
      app, "--bind", "[NAME=]ADDR", [&wanted](const std::string& text) { wanted.pool.bind.push_back(text); },
      "listen there: 127.0.0.1:53, [::1]:53, :53 (everywhere), unix:PATH; may be given again. Port 0 takes a free one. "
      "NAME is for LISTEN_FDNAMES. Needless where systemd passes sockets")
      ->take_all()
      ->group(group);
  add_text(
      app, "--receive-buffer", "SIZE", [&socket](const std::string& text) { socket.receive_buffer = parse_size(text); },
      "bytes of payload that may wait in each socket: 65536, 256K, 4M")
      ->group(group);
  add_text(
      app, "--send-buffer", "SIZE", [&socket](const std::string& text) { socket.send_buffer = parse_size(text); },
      "the same for what is sent")
      ->group(group);
  add_text(
      app, "--join", "GROUP[%INTERFACE]",
      [&socket](const std::string& text) {
        const auto at = text.find('%');
        const std::string interface = at == std::string::npos ? "" : text.substr(at + 1);
        std::string host = text.substr(0, at);
        if (host.find(':') != std::string::npos && host.front() != '[') host = '[' + host + ']';
        const auto where = address::parse_numeric(host + ":0");
        if (!where || !where->is_multicast()) {
          throw std::invalid_argument{'"' + text +
                                      "\" is no multicast group, such as 239.255.255.250 or ff02::fb%eth0"};
        }
        socket.join.push_back({*where, interface});
      },
      "receive this multicast group; may be given again")
      ->take_all()
      ->group(group);
  app.add_option("--device", socket.device, "only datagrams of this interface")->type_name("NAME")->group(group);
  app.add_flag(
         "--v6only", [&socket](std::int64_t) { socket.v6only = setting::on; }, "[::] takes IPv6 only, not IPv4 as well")
      ->group(group);
  app.add_flag("--broadcast", socket.broadcast, "allow sending to broadcast addresses")->group(group);
  app.add_flag("--reuse-port", socket.reuse_port, "share the port with other sockets of this user (SO_REUSEPORT)")
      ->group(group);
}

void add_workers(CLI::App& app, wishes& wanted) {
  constexpr char group[] = "Workers";
  constexpr std::size_t most_workers = 4096;
  pool_options& pool = wanted.pool;
  app.add_option("--workers", pool.workers, "how many, up to 4096; default: one for each core this process may use")
      ->check(CLI::Range(std::size_t{1}, most_workers).description(""))
      ->type_name("N")
      ->group(group);
  add_text(
      app, "--ready-after", "MS",
      [&wanted](const std::string& text) { wanted.run.ready_after = parse_time(text, milliseconds{1}); },
      "a worker that has lived so long counts as serving; default 200")
      ->group(group);
  add_text(
      app, "--stop-timeout", "S",
      [&pool](const std::string& text) { pool.stop_timeout = parse_time(text, seconds{1}); },
      "seconds from SIGTERM to SIGKILL; default 10")
      ->group(group);
  app.add_option("--crash-limit", pool.restart.crash_limit,
                 "so many lives in a row shorter than --healthy-after end it all; default 8")
      ->check(CLI::Range(1U, 1'000'000U).description(""))
      ->type_name("N")
      ->group(group);
  add_text(
      app, "--healthy-after", "MS",
      [&pool](const std::string& text) { pool.restart.healthy_after = parse_time(text, milliseconds{1}); },
      "a worker that lived so long was well, and is replaced at once; default 1000")
      ->group(group);
  add_text(
      app, "--restart-delay", "MS[:MOST]",
      [&pool](const std::string& text) {
        const auto colon = text.find(':');
        pool.restart.first_delay = parse_time(text.substr(0, colon), milliseconds{1});
        if (colon != std::string::npos)
          pool.restart.longest_delay = parse_time(text.substr(colon + 1), milliseconds{1});
        pool.restart.longest_delay = std::max(pool.restart.longest_delay, pool.restart.first_delay);
      },
      "wait after a short life, doubled with each in a row; default 20:5000")
      ->group(group);
  app.add_option("--reload-on-change", pool.reload_on_change,
                 "replace the workers when this file is written or replaced; may be given again")
      ->check(CLI::Validator{CLI::ExistingPath}.description(""))
      ->type_name("FILE")
      ->expected(1)
      ->take_all()
      ->allow_extra_args(false)
      ->group(group);
  app.add_option("--take-over", pool.take_over,
                 "a Unix socket: a second start with the same PATH takes the sockets over from the first")
      ->type_name("PATH")
      ->group(group);
  app.add_flag("--pin", pool.pin, "each worker on a core of its own")->group(group);
  app.add_option("--nice", pool.nice, "nice level of the workers, -20 to 19")
      ->check(CLI::Range(-20, 19).description(""))
      ->type_name("N")
      ->group(group);
  add_text(
      app, "--limit", "NAME=SOFT[:HARD]",
      [&pool](const std::string& text) { pool.limits.push_back(parse_limit(text)); },
      "resource limit of each worker, by prlimit's names: nofile=1024, core=unlimited; may be given again")
      ->take_all()
      ->group(group);
}

void add_whom(CLI::App& app, wishes& wanted) {
  constexpr char group[] = "Privileges";
  privileges& become = wanted.pool.become;
  app.add_option("--user", become.user, "become this user, by name or number, once the sockets are bound; takes root")
      ->type_name("USER")
      ->group(group);
  app.add_option("--group", become.group, "and this group; default: the user's own")->type_name("GROUP")->group(group);
  app.add_option_function<std::vector<std::string>>(
         "--groups",
         [&become](const std::vector<std::string>& names) {
           become.groups.emplace();
           for (const std::string& one : names) {
             if (!one.empty()) become.groups->push_back(one);
           }
         },
         "and these supplementary ones; \"\" for none; default: those the user is a member of")
      ->type_name("GROUP,...")
      ->expected(1)
      ->take_all()
      ->allow_extra_args(false)
      ->delimiter(',')
      ->group(group);
  app.add_flag("--no-new-privs", become.no_new_privileges, "no program that a worker starts gains any (no_new_privs)")
      ->group(group);
}

void add_telling(CLI::App& app, wishes& wanted) {
  constexpr char group[] = "Telling";
  add_text(
      app, "--log", "text|json|journal",
      [&wanted](const std::string& text) {
        if (text != "text" && text != "json" && text != "journal") {
          throw std::invalid_argument{'"' + text + "\" is none of text, json, journal"};
        }
        wanted.form = text == "json" ? log_form::json : text == "journal" ? log_form::journal : log_form::text;
      },
      "lines of text (the default) or JSON on stderr, or systemd's journal")
      ->group(group);
  app.add_flag("--quiet", wanted.quiet, "warnings and errors only")->group(group);
  app.add_option("--pid-file", wanted.pid_path, "has this process's id while all workers serve")
      ->type_name("FILE")
      ->group(group);
}

/// Which exit code tells what making the pool threw.
int code_of_set_up(const std::error_code& error) {
  // A name that means nothing here: a user, a host, an interface, a folder.
  for (const auto usage : {std::errc::invalid_argument, std::errc::no_such_file_or_directory,
                           std::errc::not_a_directory, std::errc::filename_too_long, std::errc::no_such_device}) {
    if (error == usage) return exit_usage;
  }
  return exit_no_set_up;
}

int run_program(wishes& wanted, const event_log& log) {
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

  std::optional<pid_file> pid;
  wanted.pool.log = [&log, &pid](const pool_event& event) {
    log.write(event);
    if (event.name != "serving") return;
    try {
      pid->write();
    } catch (const std::system_error& refused) {
      log.write({.severity = pool_event::level::error, .name = "pid-file", .text = refused.what()});
    }
  };
  std::optional<worker_pool> pool;
  try {
    pid.emplace(wanted.pid_path, wanted.pool.become.user);
    pool.emplace(wanted.pool);
  } catch (const std::invalid_argument& error) {
    return fail(error, exit_usage);
  } catch (const std::system_error& error) {
    return fail(error, code_of_set_up(error.code()));
  }
  try {
    return pool->run(*program, wanted.run);
  } catch (const std::system_error& error) {
    return fail(error, exit_no_worker);
  }
}

int run(const CLI::App& app, wishes& wanted) {
  if (const auto extras = app.remaining(); !extras.empty()) {
    throw CLI::ValidationError{extras[0].front() == '-' ? "no option " + extras[0]
                                                        : "put \"--\" before the program, as in -- " + extras[0]};
  }
  if (wanted.program.empty()) throw CLI::ValidationError{"no program given; write it after \"--\""};
  const event_log log{wanted.form, wanted.quiet ? pool_event::level::warning : pool_event::level::info};
  return run_program(wanted, log);
}

}  // namespace

void add_exec(CLI::App& app, const std::vector<std::string>& program, action& chosen) {
  CLI::App& exec = *app.add_subcommand("exec", "Run copies of any program on the same sockets, and keep them alive.");
  const auto wanted = std::make_shared<wishes>();
  wanted->program = program;
  exec.formatter(std::make_shared<exec_formatter>());
  exec.footer(exit_codes);
  exec.allow_extras();  // looked at below, where the complaint can name the cure
  add_where(exec, *wanted);
  add_workers(exec, *wanted);
  add_whom(exec, *wanted);
  add_telling(exec, *wanted);
  exec.callback([&exec, &chosen, wanted] { chosen = [&exec, wanted] { return run(exec, *wanted); }; });
}

}  // namespace udppump::tools
