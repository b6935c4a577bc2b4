#include <fmt/format.h>
#include <grp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "command.hpp"
#include "command_line.hpp"
#include "metrics_address.hpp"
#include "udppump/failure.hpp"
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
  /// As a pool starts it (pool_options::metrics): the descriptor of its memory, and its parent's id.
  std::optional<int> memory;
  pid_t parent = 0;
};

#if defined(UDPPUMP_HAS_PROMETHEUS)

/// Gives up what root may do, as whoever sends a request need not be its friend; and ends with the pool's parent.
void be_a_pools(pid_t parent) {
  constexpr uid_t nobody = 65534;
  const auto fail = [](const char* what) {
    throw failure{{errno, std::generic_category()}, what, "the process that tells metrics does not go on as root"};
  };
  if (::geteuid() == 0) {
    if (::setgroups(0, nullptr) != 0) fail("setgroups");
    if (::setresgid(nobody, nobody, nobody) != 0) fail("setresgid");
    if (::setresuid(nobody, nobody, nobody) != 0) fail("setresuid");
  }
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) fail("prctl");  // a change of user has cleared it
  if (::getppid() != parent) throw std::runtime_error{"the pool has ended"};
}

/// The pool before this one, from which this one takes over, has the port until it ends; so for a second nothing is
/// said.
std::unique_ptr<metrics::server> listen_in_turn(const address& where, const metrics::server::look& pools) {
  constexpr std::chrono::seconds longest{30};
  constexpr std::chrono::seconds in_silence{1};
  constexpr std::chrono::milliseconds pause{50};
  using clock = std::chrono::steady_clock;
  const auto began = clock::now();
  for (bool has_told = false; clock::now() - began < longest;) {
    const std::error_code refusal = metrics::refusal_at(where);
    if (refusal != std::errc::address_in_use) break;
    if (!has_told && clock::now() - began >= in_silence) {
      has_told = true;
      fmt::print(stderr, "udppump: {}; it is tried for {} s, as a pool that is taken over from has it until it ends\n",
                 metrics::explained(refusal, where).what(), longest.count());
    }
    std::this_thread::sleep_for(pause);
  }
  return std::make_unique<metrics::server>(where, pools);
}

int run(const metrics_settings& settings) {
  // Threads inherit it: who asks for an end is waited for below.
  sigset_t ends;
  ::sigemptyset(&ends);
  for (const int signal : {SIGINT, SIGTERM}) ::sigaddset(&ends, signal);
  ::pthread_sigmask(SIG_BLOCK, &ends, nullptr);
  const address where = metrics::parse_listener(settings.where);
  std::unique_ptr<metrics::server> server;
  if (settings.memory) {
    be_a_pools(settings.parent);
    const pool_reader pool{settings.parent, *settings.memory};
    server = listen_in_turn(where, [pool] { return std::vector{pool.read()}; });
  } else {
    // Looked for anew each time: those that are named may end and begin again, and in a take-over two have a name.
    server = std::make_unique<metrics::server>(
        where, [&settings] { return settings.pools.empty() ? pool_status::all() : pools_called(settings.pools); });
  }
  fmt::print("metrics at http://{}/metrics\n", server->local().to_string());
  std::fflush(stdout);
  int signal = 0;
  ::sigwait(&ends, &signal);
  return exit_ok;
}

#else

constexpr char no_metrics[] =
    "this udppump was built without prometheus-cpp, and has no metrics; install it (Debian: prometheus-cpp-dev), and "
    "build udppump anew";

int run(const metrics_settings&) { throw std::runtime_error{no_metrics}; }

#endif

}  // namespace

void check_metrics_address([[maybe_unused]] const std::string& text) {
#if defined(UDPPUMP_HAS_PROMETHEUS)
  if (metrics::parse_listener(text).port() == 0) {
    throw std::invalid_argument{load::quoted(text) + ": nobody would learn which port it is; give one"};
  }
#else
  throw std::invalid_argument{no_metrics};
#endif
}

void add_metrics(CLI::App& app, action& chosen) {
  auto& sub = *app.add_subcommand("metrics", "Tell Prometheus of running pools.");
  auto settings = std::make_shared<metrics_settings>();
  sub.add_option("ADDRESS", settings->where, "where to listen: 127.0.0.1:9153, [::1]:9153; :9153 is of 127.0.0.1 too")
      ->required();
  sub.add_option("POOL", settings->pools,
                 "a pool's process id, or a name, for all that have it; default: all that this user may look at, "
                 "whenever they begin");
  // For a pool, which starts it so.
  sub.add_option("--memory", settings->memory)->group("");
  sub.add_option("--parent", settings->parent)->group("");
  sub.footer(
      "Answers GET /metrics over HTTP, in Prometheus's text format, until SIGINT or SIGTERM. Reading costs the pools\n"
      "nothing.\n\n"
      "Exit codes: 0 told to end; 1 it cannot listen; 2 the command line is wrong, or the address is not this "
      "machine's.");
  sub.callback([&chosen, settings] {
    if (std::ranges::find(settings->pools, "") != settings->pools.end()) {
      throw CLI::ValidationError{"POOL", "an empty text names no pool; omit it to tell of all"};
    }
    chosen = [settings] { return run(*settings); };
  });
}

}  // namespace udppump::tools
