#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <iterator>
#include <memory>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "command.hpp"
#include "doctor/file_tree.hpp"
#include "doctor/machine_checks.hpp"
#include "doctor/pool_checks.hpp"
#include "doctor/report.hpp"
#include "load/plan/quantity.hpp"
#include "pool_choice.hpp"
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
report examine(const file_tree& files, const std::vector<pool_reader>& pools) {
  using clock = std::chrono::steady_clock;
  constexpr std::chrono::seconds apart{1};
  const auto began = clock::now();
  looks<machine_facts> machine{read_machine(files), {}};
  report all;
  struct readable_pool {
    const pool_reader& reader;
    looks<pool_facts> facts;
  };
  std::vector<readable_pool> readable;
  for (const pool_reader& one : pools) {
    try {
      readable.push_back({one, {read_pool(files, one.read()), {}}});
    } catch (const std::system_error& refused) {  // it has ended, or its memory is not what a pool writes
      all.hidden.push_back({fmt::format("pool {}", one.parent()), refused.what()});
    }
  }
  std::this_thread::sleep_for(apart);
  machine.now = read_machine(files);
  machine.seconds = std::chrono::duration<double>{clock::now() - began}.count();
  std::ranges::copy(machine.now.hidden, std::back_inserter(all.hidden));
  for (auto& [reader, pool] : readable) {
    try {
      pool.now = read_pool(files, reader.read());
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

int run(const doctor_settings& settings) {
  std::vector<pool_reader> pools;
  std::size_t unheard = 0;
  if (settings.pools.empty()) pools = pool_reader::all(&unheard);
  for (const std::string& text : settings.pools) {
    if (text.empty()) throw CLI::ValidationError{"POOL", "an empty text names no pool; omit it to look at all"};
    pools.push_back(choose_pool(text));
  }
  report all = examine(file_tree{}, pools);
  if (settings.pools.empty() && ::geteuid() != 0) {
    all.hidden.push_back({"pools of other users",
                          "a pool's own user, members of its --status-group and root may look at it; run it as root"});
  }
  if (unheard != 0) {
    all.hidden.push_back({load::counted(unheard, "status socket"),
                          "too many wait there, or there are too many of them; each may be a pool's: run it as root"});
  }
  fmt::print("{}", settings.json ? json_of(all) : text_of(all));
  return exit_code_of(all);
}

}  // namespace

void add_doctor(CLI::App& app, action& chosen) {
  auto& sub = *app.add_subcommand("doctor", "Say what is wrong with a pool or this machine, and what helps.");
  auto settings = std::make_shared<doctor_settings>();
  sub.add_option("POOL", settings->pools, "a pool's process id, or its name; default: all that this user may look at");
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
