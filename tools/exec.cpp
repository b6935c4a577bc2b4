#include <net/if.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

#include "command.hpp"
#include "command_line.hpp"
#include "event_log.hpp"
#include "help_formatter.hpp"
#include "lane_option.hpp"
#include "load/plan/quantity.hpp"
#include "resource_limits.hpp"
#include "udppump/worker_pool.hpp"

namespace udppump::tools {

namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

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

/// What the command line says.
struct wishes {
  std::vector<std::string> program;
  pool_options pool;
  program_options run;
  log_form form = log_form::text;
  bool quiet = false;
};

/// Adds what CLI11 knows nothing of: the program in the usage line.
class exec_formatter : public help_formatter {
 public:
  std::string make_usage(const CLI::App*, std::string) const override {
    return "Usage: udppump exec [OPTIONS] -- PROGRAM [ARGS...]\n";
  }
};

/// As a pool waits: "10", "0.5", "250ms", "10s", "2min", "1h"; without a unit it is `unit`. What is shorter than a
/// millisecond, and not 0, is one.
milliseconds parse_time(const std::string& text, milliseconds unit) {
  return std::chrono::ceil<milliseconds>(load::parse_duration_in(unit, text));
}
auto time_in(milliseconds unit) {
  return [unit](const std::string& text) { return parse_time(text, unit); };
}

/// The name of an interface that is here now.
std::string parse_interface(const std::string& name) {
  if (::if_nametoindex(not_empty(name).c_str()) == 0) {
    throw std::invalid_argument{load::quoted(name) + " is no interface here; name one that `ip link` shows"};
  }
  return name;
}

multicast_membership parse_group(const std::string& text) {
  const auto refuse = [&] {
    throw std::invalid_argument{load::quoted(text) +
                                " is no multicast group, such as 239.255.255.250 or ff02::fb%eth0"};
  };
  const auto at = text.find('%');
  const std::string interface = at == std::string::npos ? "" : text.substr(at + 1);
  if (at != std::string::npos && interface.empty()) refuse();
  std::string host = text.substr(0, at);
  if (host.find(':') != std::string::npos && host.front() != '[') host = '[' + host + ']';
  const auto group = address::parse_numeric(host + ":0");
  if (!group || !group->is_multicast()) refuse();
  return {*group, interface.empty() ? interface : parse_interface(interface)};
}

std::size_t parse_memory(const std::string& text) { return static_cast<std::size_t>(load::parse_buffer_size(text)); }

void parse_restart_delay(const std::string& text, restart_policy& restart) {
  const auto colon = text.find(':');
  restart.first_delay = parse_time(text.substr(0, colon), milliseconds{1});
  if (colon != std::string::npos) {
    restart.longest_delay = parse_time(text.substr(colon + 1), milliseconds{1});
    if (restart.longest_delay < restart.first_delay) {
      throw std::invalid_argument{load::quoted(text) +
                                  ": the longest delay is shorter than the first; give the shorter one first"};
    }
  }
  restart.longest_delay = std::max(restart.longest_delay, restart.first_delay);
}

void add_where(CLI::App& app, wishes& wanted) {
  constexpr char group[] = "Listening";
  socket_options& socket = wanted.pool.socket;
  add_repeated(app, "--bind", [&wanted](const std::string& text) { wanted.pool.bind.push_back(text); },
               {"[NAME=]ADDR", "",
                "listen there: 127.0.0.1:53, [::1]:53, :53 (everywhere, by IPv6 and IPv4, or by the one that there "
                "is), unix:PATH; may be given again. Port 0 takes a "
                "free one. "
                "NAME is for LISTEN_FDNAMES. Needless if systemd passes sockets",
                group});
  add_repeated(app, "--lane", [&wanted](const std::string& text) { wanted.pool.lanes.push_back(parse_lane(text)); },
               {"NAME[=EXPRESSION][,OPTION=VALUE]", "",
                "a queue of its own for datagrams that match, such as 'quick=payload[2] < 4 and len < 100' "
                "(pcap-filter(7), over the payload); may be given again, and the first that matches takes it; the "
                "others are in the lane \"rest\". Each worker gets a socket for each lane that it serves. Options, "
                "with commas between them: "
                "reserve=N (N workers serve this lane and those before it alone), workers=N (N serve it, and it "
                "alone), receive-buffer=SIZE",
                group});
  add_parsed(
      app, "--receive-buffer", socket.receive_buffer, load::parse_buffer_size,
      {"SIZE", "", "bytes of payload that may wait in each socket: 65536, 256K, 4M; default: the kernel's", group});
  add_parsed(
      app, "--max-wait", wanted.run.max_wait, time_in(milliseconds{1}),
      {"MS", "",
       "make each receive buffer as large as what is served in this time, so that nothing is served too late: half of "
       "the time that clients wait, such as 500ms; default 0: buffers stay as they are",
       group});
  add_parsed(app, "--send-buffer", socket.send_buffer, load::parse_buffer_size,
             {"SIZE", "", "the same for what is sent, in bytes", group});
  add_repeated(app, "--join", [&socket](const std::string& text) { socket.join.push_back(parse_group(text)); },
               {"GROUP[%INTERFACE]", "",
                "receive this multicast group, such as 239.255.255.250 or ff02::fb%eth0; may be given again", group});
  add_parsed(
      app, "--device", socket.device, parse_interface,
      {"NAME", "", "receive only from this interface, such as eth0; one that is made again is bound to anew", group});
  using mtu = path_mtu_discovery;
  add_parsed(
      app, "--path-mtu", socket.path_mtu,
      one_of<mtu>({{"default", mtu::kernel_default},
                   {"omit", mtu::omit},
                   {"interface", mtu::interface},
                   {"dont", mtu::dont},
                   {"want", mtu::want},
                   {"always", mtu::always},
                   {"probe", mtu::probe}}),
      {"NAME", "",
       "path MTU discovery: omit (as DNS servers do), interface, dont, want, always, probe, or default (the kernel's)",
       group});
  app.add_flag(
         "--v6only", [&socket](std::int64_t) { socket.v6only = setting::on; }, "[::] takes IPv6 only, not IPv4 as well")
      ->group(group);
  app.add_flag("--broadcast", socket.broadcast, "allow sending to broadcast addresses")->group(group);
  app.add_flag("--reuse-port", socket.reuse_port, "share the port with other sockets of this user (SO_REUSEPORT)")
      ->group(group);
}

void add_workers(CLI::App& app, wishes& wanted) {
  constexpr char group[] = "Workers";
  constexpr std::size_t most_workers = 4096, most_jitter = 90;
  pool_options& pool = wanted.pool;
  add_parsed(app, "--workers", pool.workers, count_in(1, most_workers),
             {"N", "", "how many, up to 4096; default: one for each core this process may use", group});
  add_parsed(app, "--max-workers", pool.max_workers, count_in(1, most_workers),
             {"N", "",
              "how many there may be when udppump scale or SIGTTIN asks for more, up to 4096; default: four times "
              "--workers, or 64 if that is more",
              group});
  add_parsed(app, "--ready-after", wanted.run.ready_after, time_in(milliseconds{1}),
             {"TIME", "", "a worker that has lived this long counts as serving, in ms; default 200", group});
  add_parsed(app, "--ready", wanted.run.ready,
             one_of<readiness>({{"time", readiness::time}, {"notify", readiness::notification}}),
             {"time|notify", "",
              "a worker counts as serving after --ready-after (the default), or when it says READY=1 to NOTIFY_SOCKET "
              "(sd_notify)",
              group});
  add_parsed(
      app, "--start-timeout", pool.start_timeout, time_in(seconds{1}),
      {"TIME", "", "with --ready notify: one that has not said so after this time is killed, in s; default 30", group});
  add_parsed(app, "--stop-timeout", pool.stop_timeout, time_in(seconds{1}),
             {"TIME", "", "a worker that still runs this long after SIGTERM is killed, in s; default 10", group});
  add_parsed(
      app, "--hang-timeout", wanted.run.hang_timeout, time_in(seconds{1}),
      {"TIME", "",
       "a worker that says WATCHDOG=1 to NOTIFY_SOCKET (sd_notify), and then not again for this time, is aborted "
       "and replaced, in s; default 0: nobody is asked",
       group});
  add_parsed(
      app, "--max-lifetime", pool.max_lifetime, time_in(seconds{1}),
      {"TIME", "",
       "a worker that has lived this long is replaced as in a reload, in s; one at a time; default 0: never", group});
  add_parsed(app, "--max-memory", pool.max_memory, parse_memory,
             {"SIZE", "", "the same for one that has this much memory (PSS); looked at once a second", group});
  add_parsed(app, "--max-jitter", pool.max_jitter, count_in(0, most_jitter),
             {"PERCENT", "",
              "each worker's own --max-lifetime and --max-memory are lower by a share that is drawn from 0 to this, so "
              "that not all are due at once; up to 90, default 10",
              group});
  add_parsed(app, "--kill-mode", wanted.run.kill,
             one_of<kill_mode>({{"group", kill_mode::group}, {"process", kill_mode::process}}),
             {"group|process", "",
              "whom SIGTERM is for: the worker and what it has started (the default), or the worker alone, for servers "
              "that fork for each request. Either way it has ended when nothing of it is left",
              group});
  add_parsed(
      app, "--drain", pool.drain, time_in(seconds{1}),
      {"TIME", "",
       "when told to stop, first serve what waits in the queues, for this time at most, in s; default 0: stop at "
       "once, and say what was left",
       group});
  add_parsed(
      app, "--crash-limit", pool.restart.crash_limit, count_in(1, 1'000'000),
      {"N", "",
       "a worker that lived shorter than --healthy-after this many times in a row cannot be kept alive: it is tried "
       "after longer and longer pauses, and if that is so of all, udppump ends (a crash loop); default 8",
       group});
  add_parsed(
      app, "--healthy-after", pool.restart.healthy_after,
      [](const std::string& text) {
        const auto time = parse_time(text, milliseconds{1});
        if (time.count() > 0) return time;
        throw std::invalid_argument{load::quoted(text) +
                                    ": no life would be too short, and a crash loop would never end; give more"};
      },
      {"TIME", "", "a worker that lived this long is replaced at once when it dies, in ms; default 1000", group});
  add_read(app, "--restart-delay", [&pool](const std::string& text) { parse_restart_delay(text, pool.restart); },
           {"TIME[:MOST]", "",
            "wait this long before one that lived shorter is replaced, in ms; doubled for each in a row, up to MOST; "
            "default 20:5000",
            group});
  // Not listed, as it never works here; whoever tries it is told why.
  app.add_option_function<std::string>(
         "--quarantine",
         [](const std::string&) {
           throw CLI::ValidationError{
               "--quarantine",
               "which datagram a program died of is not known here, as it receives by itself; use a "
               "worker_pool with redeliver and quarantine, or block the sender by a firewall"};
         })
      ->expected(0, 1)
      ->group("");
  for (const std::string name : {"--client-limit", "--client-share"}) {
    app.add_option_function<std::string>(
           name,
           [name](const std::string&) {
             throw CLI::ValidationError{name,
                                        "whose datagram a program takes is not known here, as it receives by itself; "
                                        "use a worker_pool, or limit clients by a firewall"};
           })
        ->expected(0, 1)
        ->group("");
  }
  app.add_option_function<std::string>(
         "--max-age",
         [](const std::string&) {
           throw CLI::ValidationError{
               "--max-age",
               "what a program takes is not known here, as it receives by itself; --max-wait keeps the queue short, "
               "and a worker_pool has max_age"};
         })
      ->expected(0, 1)
      ->group("");
  add_repeated(
      app, "--reload-on-change",
      [&pool](const std::string& text) {
        if (::access(text.c_str(), F_OK) != 0) {
          throw std::invalid_argument{load::quoted(text) + ": " + std::strerror(errno) + "; name a file that is there"};
        }
        struct stat about {};
        if (::stat(text.c_str(), &about) == 0 && S_ISDIR(about.st_mode)) {
          throw std::invalid_argument{load::quoted(text) + " is a folder; name the files in it"};
        }
        pool.reload_on_change.emplace_back(text);
      },
      {"FILE", "", "replace the workers when this file is written or replaced; may be given again", group});
  add_parsed(app, "--reload-width", pool.reload_width, count_in(1, most_workers),
             {"N", "",
              "a reload replaces so many workers at a time, and so many more run meanwhile; default: an eighth of "
              "them, but at least one",
              group});
  add_parsed(
      app, "--prove-for", pool.prove_for, time_in(milliseconds{1}),
      {"TIME", "",
       "a reload stops an old worker when its new one has served this long, in ms, and is given up if the new one dies "
       "before: the old ones serve on; default: as --healthy-after",
       group});
  add_parsed(
      app, "--take-over", pool.take_over, not_empty,
      {"PATH", "", "a Unix socket: a second start with the same PATH takes the sockets over from the first", group});
  app.add_flag("--pin", pool.pin, "each worker runs on a core of its own")->group(group);
  add_parsed(app, "--nice", pool.nice,
             [](const std::string& text) { return static_cast<int>(load::parse_integer(text, -20, 19)); },
             {"N", "", "nice level of the workers, from -20 (first) to 19 (last)", group});
  add_repeated(
      app, "--limit", [&pool](const std::string& text) { pool.limits.push_back(parse_limit(text)); },
      {"NAME=SOFT[:HARD]", "",
       "resource limit of each worker, by the names of prlimit(1): nofile=1024, as=1G; may be given again", group});
}

/// Names or numbers with commas between them; none of an empty text.
std::vector<std::string> parse_groups(const std::string& text) {
  std::vector<std::string> groups;
  for (std::size_t at = 0; !text.empty() && at <= text.size();) {
    const auto end = std::min(text.find(',', at), text.size());
    groups.push_back(text.substr(at, end - at));
    if (groups.back().empty()) {
      throw std::invalid_argument{load::quoted(text) + " has an empty name in it; give \"\" for no group at all"};
    }
    at = end + 1;
  }
  return groups;
}

void add_whom(CLI::App& app, wishes& wanted) {
  constexpr char group[] = "Privileges";
  privileges& become = wanted.pool.become;
  add_parsed(app, "--user", become.user, not_empty,
             {"USER", "", "become this user, by name or number, once the sockets are bound; requires root", group});
  add_parsed(app, "--group", become.group, not_empty, {"GROUP", "", "and this group; default: the user's own", group});
  add_read(
      app, "--groups", [&become](const std::string& text) { become.groups = parse_groups(text); },
      {"GROUP,...", "", "and these supplementary ones; \"\" for none; default: those the user is a member of", group});
  auto* const none = app.add_flag_callback(
      "--no-new-privs", [&become] { become.no_new_privileges = true; },
      "no program that a worker starts gains privileges (no_new_privs); the default with --user");
  app.add_flag_callback(
         "--new-privs", [&become] { become.no_new_privileges = false; },
         "with --user: let set-user-ID programs that a worker starts gain privileges")
      ->excludes(none)
      ->group(group);
  none->group(group);
}

void add_telling(CLI::App& app, wishes& wanted) {
  constexpr char group[] = "Telling";
  add_parsed(app, "--log", wanted.form,
             one_of<log_form>({{"text", log_form::text}, {"json", log_form::json}, {"journal", log_form::journal}}),
             {"text|json|journal", "", "lines of text (the default) or JSON on stderr, or systemd's journal", group});
  app.add_flag("--quiet", wanted.quiet, "warnings and errors only")->group(group);
  add_parsed(
      app, "--pid-file", wanted.pool.pid_file, not_empty,
      {"FILE", "",
       "holds the id of this process while all workers serve, and is locked by it; nobody else may be allowed to "
       "write to its folder",
       group});
}

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
  } catch (const std::system_error& error) {
    return fail(error, exit_no_worker);
  }
}

/// An address of a Unix socket goes with no option that is of IP or of interfaces.
void check_for_unix(const CLI::App& app, const wishes& wanted) {
  const auto is_unix = [](const std::string& text) { return text.substr(text.find('=') + 1).starts_with("unix:"); };
  const auto& bind = wanted.pool.bind;
  const auto found = std::ranges::find_if(bind, is_unix);
  if (found == bind.end()) return;
  for (const char* const option : {"--path-mtu", "--join", "--broadcast", "--v6only", "--device", "--reuse-port"}) {
    if (app.count(option) == 0) continue;
    throw std::invalid_argument{std::string{option} + ": not with --bind " + *found +
                                ", which is no address of IP; omit one of the two"};
  }
}

int run(const CLI::App& app, wishes& wanted) {
  if (wanted.program.empty()) throw CLI::ValidationError{"no program is given; write it after \"--\""};
  check_for_unix(app, wanted);
  add_rest(wanted.pool.lanes);
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
  add_where(exec, *wanted);
  add_workers(exec, *wanted);
  add_whom(exec, *wanted);
  add_telling(exec, *wanted);
  exec.callback([&exec, &chosen, wanted] { chosen = [&exec, wanted] { return run(exec, *wanted); }; });
}

}  // namespace udppump::tools
