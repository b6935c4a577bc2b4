#pragma once

#include <string>
#include <vector>

#include "event_log.hpp"
#include "udppump/pool_options.hpp"
#include "udppump/worker_program.hpp"

namespace CLI {
class App;
}

namespace udppump::tools {

/// What the command line of `udppump exec` says.
struct exec_options {
  std::vector<std::string> program;
  pool_options pool;
  program_options run;
  log_form form = log_form::automatic;
  bool quiet = false;
};

/// Each adds the options of a heading. `wanted` must outlive the parsing.
void add_listening_options(CLI::App& app, exec_options& wanted);
void add_worker_options(CLI::App& app, exec_options& wanted);
void add_privilege_options(CLI::App& app, exec_options& wanted);
void add_telling_options(CLI::App& app, exec_options& wanted);

/// Throws std::invalid_argument for options that do not go with each other.
void check_together(const CLI::App& app, const exec_options& wanted);

}  // namespace udppump::tools
