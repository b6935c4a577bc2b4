#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <string>

#include "command_line.hpp"
#include "exec_options.hpp"
#include "exec_values.hpp"
#include "load/plan/quantity.hpp"
#include "resource_limits.hpp"

namespace udppump::tools {

using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

std::string parse_watched_file(const std::string& text) {
  if (::access(text.c_str(), F_OK) != 0) {
    throw std::invalid_argument{load::quoted(text) + ": " + std::strerror(errno) + "; name a file that is there"};
  }
  struct stat about {};
  if (::stat(text.c_str(), &about) == 0 && S_ISDIR(about.st_mode)) {
    throw std::invalid_argument{load::quoted(text) + " is a folder; name the files in it"};
  }
  return text;
}

/// Not listed, as these never work here; whoever tries one is told why.
void refuse_what_programs_cannot(CLI::App& app) {
  const auto refuse = [&app](const std::string& name, const std::string& why) {
    app.add_option_function<std::string>(name,
                                         [name, why](const std::string&) {
                                           throw CLI::ValidationError{name, why};
                                         })
        ->expected(0, 1)
        ->group("");
  };
  refuse("--quarantine",
         "which datagram a program died of is not known here, as it receives by itself; use a "
         "worker_pool with redeliver and quarantine, or block the sender by a firewall");
  for (const char* const name : {"--client-limit", "--client-share"}) {
    refuse(name,
           "whose datagram a program takes is not known here, as it receives by itself; "
           "use a worker_pool, or limit clients by a firewall");
  }
  refuse("--max-age",
         "what a program takes is not known here, as it receives by itself; --max-wait keeps the queue short, "
         "and a worker_pool has max_age");
}

}  // namespace

void add_worker_options(CLI::App& app, exec_options& wanted) {
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
       "a worker that hangs for this time, in s, is aborted and replaced: it said WATCHDOG=1 to NOTIFY_SOCKET "
       "(sd_notify), and then not again; or it never says so, and neither it nor another takes anything from its "
       "sockets although datagrams wait; default 0: nobody is looked at",
       group});
  add_parsed(
      app, "--max-lifetime", pool.max_lifetime, time_in(seconds{1}),
      {"TIME", "",
       "a worker that has lived this long is replaced as in a reload, in s; one at a time; default 0: never", group});
  add_parsed(
      app, "--max-memory", pool.max_memory, parse_memory,
      {"SIZE", "",
       "the same for one that has this much memory (PSS), with what it has started; looked at once a second", group});
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
  using exclusive = exclusive_waits;
  add_parsed(
      app, "--exclusive", wanted.run.exclusive,
      one_of<exclusive>({{"auto", exclusive::automatic}, {"on", exclusive::on}, {"off", exclusive::off}}),
      {"auto|on|off", "",
       "a datagram wakes one worker, also of programs on an event loop (epoll), by a library that is preloaded into "
       "them: if possible (auto, the default), or else exit with code 2 (on), or never (off)",
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
  add_repeated(app, "--reload-on-change",
               [&pool](const std::string& text) { pool.reload_on_change.push_back(parse_watched_file(text)); },
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
  refuse_what_programs_cannot(app);
}

}  // namespace udppump::tools
