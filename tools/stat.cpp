#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <system_error>

#include "command.hpp"
#include "command_line.hpp"
#include "pool_choice.hpp"
#include "status_report.hpp"

namespace udppump::tools {

namespace {

struct stat_settings {
  std::string pool;
  bool all = false, json = false;
};

int run_one(const stat_settings& settings) {
  const pool_status told = choose_pool(settings.pool).read();
  fmt::print("{}", settings.json ? json_of(told).dump(2) + '\n' : text_of(told));
  return exit_ok;
}

int run_all(const stat_settings& settings) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  bool is_first = true;
  for (const pool_reader& each : choose_pools({})) {
    try {
      const pool_status told = each.read();
      if (settings.json) {
        list.push_back(json_of(told));
      } else {
        fmt::print("{}{}", is_first ? "" : "\n\n", text_of(told));
      }
      is_first = false;
    } catch (const std::system_error&) {
      // It has just ended.
    }
  }
  if (settings.json) fmt::print("{}\n", list.dump(2));
  return exit_ok;
}

}  // namespace

void add_stat(CLI::App& app, action& chosen) {
  auto& sub = *app.add_subcommand("stat", "Show what a running pool does: its queues, workers and counts.");
  auto settings = std::make_shared<stat_settings>();
  add_parsed(sub, "POOL", settings->pool, not_empty, {"", "", pool_argument});
  sub.add_flag("--all", settings->all, "all pools that this user may look at");
  sub.add_flag("--json", settings->json, "as JSON, with all numbers; a list with --all");
  sub.footer(
      "Shows pools of this user; root sees all, and members of a pool's --status-group see that one.\n"
      "What is not known is \"-\", and null in JSON: of programs, all that a handler would count.\n"
      "Exit codes: 0 shown; 1 there is no pool, or it may not be looked at; 2 wrong usage, or a name that no pool "
      "has,\n"
      "or several.");
  sub.callback([&chosen, settings] {
    if (settings->all && !settings->pool.empty()) {
      throw CLI::ValidationError{"--all", "is for all pools, and one is named; omit one of the two"};
    }
    chosen = [settings] { return settings->all ? run_all(*settings) : run_one(*settings); };
  });
}

}  // namespace udppump::tools
