#include <fmt/format.h>
#include <signal.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <optional>
#include <stdexcept>

#include "client_limit_option.hpp"
#include "command.hpp"
#include "command_line.hpp"
#include "load/plan/quantity.hpp"
#include "load/run/system.hpp"
#include "load/run/validity.hpp"
#include "load/run/work_server.hpp"
#include "shared_options.hpp"

namespace udppump::tools {
namespace {

using namespace udppump::load;

struct work_settings {
  std::string bind = "127.0.0.1:5000";
  work_options server = {};
  /// Of lanes; empty: the default.
  std::optional<nanoseconds> short_limit;
  std::optional<std::uint64_t> reserve;
};

void settle_lanes(work_settings& settings) {
  auto& server = settings.server;
  if (server.queue != queue_kind::lanes) {
    if (settings.short_limit || settings.reserve) {
      throw std::invalid_argument{"--short and --reserve are of lanes; omit them, or take --queue lanes"};
    }
    return;
  }
  if (settings.short_limit) server.short_limit = *settings.short_limit;
  server.reserve = settings.reserve ? *settings.reserve : server.workers > 1 ? 1 : 0;
  if (server.reserve < server.workers) return;
  throw std::invalid_argument{fmt::format("--reserve {} of {} leaves none for long requests; give less", server.reserve,
                                          counted(server.workers, "worker"))};
}

/// Blocks the signals that the parent waits for, before its workers are forked; they go on without them, see
/// work_server.
sigset_t block_signals() {
  sigset_t awaited;
  ::sigemptyset(&awaited);
  for (const int signal : {SIGINT, SIGTERM, SIGCHLD}) ::sigaddset(&awaited, signal);
  ::sigprocmask(SIG_BLOCK, &awaited, nullptr);
  return awaited;
}

int run(work_settings& settings) {
  const drop_rules& drops = settings.server.drops;
  if (drops.any() && settings.server.queue == queue_kind::herd) {
    throw std::invalid_argument{
        "--max-age, --client-limit and --client-share are of pumps, and --queue herd has none; omit them or it"};
  }
  if (settings.server.queue == queue_kind::herd && settings.server.waiter != waiter_kind::automatic) {
    throw std::invalid_argument{"--waiter is of pumps, and --queue herd has none; omit one of the two"};
  }
  settings.server.bind = parse_address("--bind", settings.bind);
  settle_lanes(settings);
  const auto queue = settings.server.queue;
  if ((queue == queue_kind::sharded || queue == queue_kind::lanes) && settings.server.bind.is_unix()) {
    throw std::invalid_argument{fmt::format(
        "--queue: {} needs an address of IP, as sockets of a path cannot share it; give --bind one, or take shared or "
        "herd",
        to_string(queue))};
  }
  const sigset_t awaited = block_signals();
  work_server server{settings.server};
  fmt::print("listening on {}\n{}, {}, waiting by {}\n", server.local().to_string(),
             counted(server.workers(), "worker"), to_string(settings.server.queue), server.waiter());
  std::fflush(stdout);
  if (!server.receive_buffer_shortfall().empty()) {
    fmt::print(stderr, "udppump: {}\n", server.receive_buffer_shortfall());
  }
  for (;;) {
    const int signal = repeat([&] { return ::sigwaitinfo(&awaited, nullptr); });
    if (signal != SIGCHLD) break;
    if (const auto ended = server.ended()) throw std::runtime_error{*ended};
  }
  std::uint64_t sum = 0;
  std::string each;
  for (const auto served : server.served()) {
    sum += served;
    each += fmt::format(" {}", served);
  }
  fmt::print("served {}, by worker:{}\n", counted(sum, "request"), each);
  if (!is_as_asked(1, server.stretch(), validity_limits{}.offered)) {
    fmt::print(stderr,
               "udppump: services took {} times as long as was asked for, so the load was as much larger; quiet the "
               "machine, or ask for longer services\n",
               format_number(server.stretch()));
  }
  if (drops.max_age.count() != 0) {
    fmt::print("dropped {} that had waited longer than {}\n", counted(server.expired(), "request"),
               format_duration(drops.max_age));
  }
  if (drops.client_limit || drops.client_share) {
    fmt::print("dropped {} of clients that sent too many\n", counted(server.limited(), "request"));
  }
  if (server.refused() > 0) fmt::print("no work requests: {}\n", counted(server.refused(), "datagram"));
  return exit_ok;
}

}  // namespace

void add_work(CLI::App& app, action& chosen) {
  auto& sub = *app.add_subcommand("work", "Answer work requests: the server that udppump load measures.");
  auto settings = std::make_shared<work_settings>();
  auto& server = settings->server;
  add_parsed(sub, "--bind", settings->bind, not_empty,
             {"ADDRESS", settings->bind, "address to serve; port 0 takes a free one"});
  add_parsed(
      sub, "--queue", server.queue, parse_queue,
      {"NAME", "shared",
       "shared: one socket for all workers; lanes: two, for short requests and for all others, of which workers serve "
       "the first one first; sharded: a socket for each (SO_REUSEPORT); herd: one socket that each waits for by a "
       "plain "
       "epoll, so that an arrival wakes all"});
  add_parsed(sub, "--short", settings->short_limit, parse_duration,
             {"TIME", "1ms", "with lanes: a request that asks for this much at most is short"});
  add_parsed(sub, "--reserve", settings->reserve, count_in(0, 1023),
             {"N", "1", "with lanes: workers that serve short requests only; 0 if there is but one worker"});
  add_service_options(sub, server, "Options");
  add_parsed(sub, "--max-age", server.drops.max_age, parse_duration,
             {"TIME", "0", "drop requests that have waited longer than this, such as 40ms; 0: drop none"});
  add_parsed(sub, "--client-limit", server.drops.client_limit, parse_client_limit,
             {"RATE[,burst=N][,v4=/N][,v6=/N]", "",
              "drop what a client sends beyond so many requests a second, and N at once (those of a second); a client "
              "is an IPv4 address or the first 56 bits of an IPv6 one, or as many bits as are given"});
  sub.add_flag_callback(
      "--client-share", [&server] { server.drops.client_share = client_share::equal(); },
      "while more comes than is served, drop what a client sends beyond its share of that");
  sub.footer(
      "Ends at SIGINT and SIGTERM, and then prints what each worker served, and whether services took longer than "
      "asked.\n"
      "Exit codes: 0 told to end; 1 could not serve, or a worker ended; 2 the command line is wrong, or\n"
      "the address is not this machine's.");
  sub.callback([&chosen, settings] { chosen = [settings] { return run(*settings); }; });
}

}  // namespace udppump::tools
