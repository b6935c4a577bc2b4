#include <fmt/format.h>
#include <signal.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include "command.hpp"
#include "udppump/pool_status.hpp"
#if defined(UDPPUMP_HAS_PROMETHEUS)
#include "metrics/server.hpp"
#include "pool_choice.hpp"
#endif

namespace udppump::tools {
namespace {

struct metrics_settings {
  std::string where;
  std::vector<std::string> pools;
};

#if defined(UDPPUMP_HAS_PROMETHEUS)

/// The pools that are told of. Those that were named may end and begin again: they are looked for anew then.
class watched_pools {
 public:
  explicit watched_pools(std::vector<std::string> names) : names_{std::move(names)} {}

  std::vector<pool_status> read() {
    if (names_.empty()) return pool_status::all();
    std::vector<pool_status> found;
    for (const std::string& name : names_) {
      try {
        for (const pool_reader& one : choose_pools(name)) found.push_back(one.read());
      } catch (const std::exception&) {
        continue;  // udppump_pools tells how many there are
      }
    }
    return found;
  }

 private:
  const std::vector<std::string> names_;
};

int run(const metrics_settings& settings) {
  // Threads inherit it: who asks for an end is waited for below.
  sigset_t ends;
  ::sigemptyset(&ends);
  for (const int signal : {SIGINT, SIGTERM}) ::sigaddset(&ends, signal);
  ::pthread_sigmask(SIG_BLOCK, &ends, nullptr);
  watched_pools pools{settings.pools};
  const metrics::server server{metrics::parse_listener(settings.where), [&pools] { return pools.read(); }};
  fmt::print("metrics at http://{}/metrics\n", server.local().to_string());
  std::fflush(stdout);
  int signal = 0;
  ::sigwait(&ends, &signal);
  return exit_ok;
}

#else

int run(const metrics_settings&) {
  throw std::runtime_error{
      "this udppump was built without prometheus-cpp, and has no metrics; install it (Debian: prometheus-cpp-dev), and "
      "build udppump anew"};
}

#endif

}  // namespace

void add_metrics(CLI::App& app, action& chosen) {
  auto& sub = *app.add_subcommand("metrics", "Tell Prometheus of running pools.");
  auto settings = std::make_shared<metrics_settings>();
  sub.add_option("ADDRESS", settings->where, "where to listen: 127.0.0.1:9153, [::1]:9153; :9153 is of 127.0.0.1 too")
      ->required();
  sub.add_option("POOL", settings->pools,
                 "a pool's process id, or its name; default: all that this user may look at, whenever they begin");
  sub.footer(
      "Answers GET /metrics over HTTP, in Prometheus's text format, until SIGINT or SIGTERM. Reading costs the pools\n"
      "nothing.\n\n"
      "Exit codes: 0 told to end; 1 it cannot listen; 2 the command line is wrong, or the address is not this "
      "machine's.");
  sub.callback([&chosen, settings] { chosen = [settings] { return run(*settings); }; });
}

}  // namespace udppump::tools
