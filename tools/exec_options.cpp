#include "exec_options.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <stdexcept>

#include "command_line.hpp"
#include "exec_values.hpp"
#include "metrics_address.hpp"

namespace udppump::tools {

void add_privilege_options(CLI::App& app, exec_options& wanted) {
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

void add_telling_options(CLI::App& app, exec_options& wanted) {
  constexpr char group[] = "Telling";
  add_parsed(app, "--log", wanted.form,
             one_of<log_form>({{"auto", log_form::automatic},
                               {"text", log_form::text},
                               {"json", log_form::json},
                               {"journal", log_form::journal}}),
             {"auto|text|json|journal", "",
              "lines of text or JSON on stderr, or systemd's journal with fields; auto, the default: the journal if "
              "stderr goes there, else text",
              group});
  add_parsed(app, "--stderr", wanted.run.error_output,
             one_of<program_stderr>({{"log", program_stderr::log}, {"inherit", program_stderr::inherit}}),
             {"log|inherit", "",
              "what programs write to stderr: lines of this log, with the worker's number, and the last words of one "
              "that dies (the default); or inherit: it goes where the stderr of udppump goes, and is not seen",
              group});
  app.add_flag("--quiet", wanted.quiet, "warnings, errors, and what programs write, only")->group(group);
  add_parsed(app, "--name", wanted.pool.name,
             [](const std::string& text) {
               if (const std::string why = why_no_pool_name(text); !why.empty()) {
                 throw std::invalid_argument{load::quoted(text) + ' ' + why};
               }
               return text;
             },
             {"NAME", "", "what udppump stat calls the pool; default: as the program's file", group});
  add_parsed(app, "--status-group", wanted.pool.status_group, not_empty,
             {"GROUP", "", "its members may look at the pool too (udppump stat); default: this user and root", group});
  add_parsed(
      app, "--pid-file", wanted.pool.pid_file, not_empty,
      {"FILE", "",
       "holds the id of this process while all workers serve, and is locked by it; nobody else may be allowed to "
       "write to its folder",
       group});
  add_read(
      app, "--metrics",
      [&wanted](const std::string& text) {
        check_metrics_address(text);
        wanted.pool.metrics = text;
        wanted.pool.metrics_program = "/proc/self/exe";
      },
      {"ADDRESS", "",
       "a process of its own tells Prometheus of the pool there, at /metrics: 127.0.0.1:9153; :9153 is of 127.0.0.1 "
       "too. Whoever reaches it may read it",
       group});
}

// An address of a Unix socket goes with no option that is of IP or of interfaces.
void check_together(const CLI::App& app, const exec_options& wanted) {
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

}  // namespace udppump::tools
