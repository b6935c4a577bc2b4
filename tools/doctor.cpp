#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "command.hpp"
#include "doctor/file_tree.hpp"
#include "doctor/machine_checks.hpp"
#include "doctor/pool_checks.hpp"
#include "doctor/report.hpp"
#include "udppump/pool_status.hpp"

namespace udppump::tools {
namespace {

using namespace udppump::doctor;

struct doctor_settings {
  std::vector<std::string> pools;
  bool json = false;
};

std::string subject_of(const pool_facts& pool) {
  return pool.name.empty() ? fmt::format("pool {}", pool.pid) : fmt::format("pool {} ({})", pool.name, pool.pid);
}

/// Looks at the machine and at some pools, waits a second, and looks again.
report examine(const file_tree& files, const std::vector<pid_t>& pools) {
  using clock = std::chrono::steady_clock;
  constexpr std::chrono::seconds apart{1};
  const auto began = clock::now();
  looks<machine_facts> machine{read_machine(files), {}};
  std::vector<looks<pool_facts>> each;
  for (const pid_t pid : pools) each.push_back({read_pool(files, pool_status::of(pid)), {}});
  std::this_thread::sleep_for(apart);
  machine.now = read_machine(files);
  machine.seconds = std::chrono::duration<double>{clock::now() - began}.count();
  report all;
  all.hidden = machine.now.hidden;
  for (auto& pool : each) {
    try {
      pool.now = read_pool(files, pool_status::of(pool.before.pid));
    } catch (const std::system_error& gone) {
      all.hidden.push_back({subject_of(pool.before), gone.what()});
      continue;
    }
    pool.seconds = machine.seconds;
    all.parts.push_back({subject_of(pool.now), check_pool(pool)});
    std::ranges::copy(pool.now.hidden, std::back_inserter(all.hidden));
  }
  all.parts.push_back({{}, check_machine(machine)});
  return all;
}

/// Those that may be looked at.
std::vector<pid_t> all_pools(const file_tree& files) {
  std::vector<pid_t> found;
  const auto names = files.names("/proc");
  for (const std::string& name : names ? *names : std::vector<std::string>{}) {
    const auto pid = number_of<pid_t>(name);
    if (!pid) continue;
    try {
      if (pool_status::of(*pid).parent == *pid) found.push_back(*pid);
    } catch (const std::system_error&) {
      continue;  // most processes are no pools
    }
  }
  return found;
}

int run(const doctor_settings& settings) {
  const file_tree files;
  std::vector<pid_t> pools;
  for (const std::string& text : settings.pools) pools.push_back(number_of<pid_t>(text).value_or(0));
  if (pools.empty()) pools = all_pools(files);
  const report all = examine(files, pools);
  fmt::print("{}", settings.json ? json_of(all) : text_of(all));
  return exit_code_of(all);
}

}  // namespace

void add_doctor(CLI::App& app, action& chosen) {
  auto& sub = *app.add_subcommand("doctor", "Say what is wrong with a pool or this machine, and what helps.");
  auto settings = std::make_shared<doctor_settings>();
  sub.add_option("POOL", settings->pools, "a pool's process id; default: all pools here");
  sub.add_flag("--json", settings->json, "print one JSON object instead of lines");
  sub.footer(
      "Looks twice, a second apart, and changes nothing. A line for each thing that it finds, the worst first: "
      "\"wrong\" "
      "if\nthe service suffers now, \"warning\" if it will, \"note\" if it is worth knowing.\n\n"
      "Exit codes: 0 nothing is wrong, but for notes; 1 could not look, or there is no such pool; 2 wrong usage; 3 "
      "there\n"
      "are warnings; 4 something is wrong.");
  sub.callback([&chosen, settings] { chosen = [settings] { return run(*settings); }; });
}

}  // namespace udppump::tools
