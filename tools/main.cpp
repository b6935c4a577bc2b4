#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "command.hpp"
#include "help_formatter.hpp"
#include "parse_error.hpp"
#include "udppump/printable.hpp"

/// One line, with the cause and, if one is known, the cure.
static int complain(const std::string& error, int code) {
  std::fprintf(stderr, "udppump: %s\n", udppump::printable(error).c_str());
  return code;
}

/// What is opened first would become descriptor 0, 1 or 2 if that is closed, and what is printed go there.
static bool have_standard_descriptors() {
  for (int fd = 0; fd <= 2; ++fd) {
    if (::fcntl(fd, F_GETFD) >= 0 || errno != EBADF) continue;
    if (::open("/dev/null", O_RDWR) != fd) return false;
  }
  return true;
}

/// Where the "--" of `udppump exec ... -- PROGRAM` stands; the end if there is none.
static char** program_mark(int argc, char** argv) {
  const bool runs_programs = argc > 1 && std::string_view{argv[1]} == "exec";
  return runs_programs ? std::find(argv + 2, argv + argc, std::string_view{"--"}) : argv + argc;
}

/// The exit code, once everything printed is out of its buffer: what it goes to may be full.
static int printed(int code) {
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return code;
  std::fprintf(stderr, "udppump: cannot write the output: %s; make room there, or write it elsewhere\n",
               std::strerror(errno));
  return code == 0 ? udppump::tools::exit_failed : code;
}

/// "--quiet=no" would else be taken, for another thing than it says.
static void refuse_values_of_flags(CLI::App& app) {
  for (CLI::Option* option : app.get_options({})) {
    if (option->get_items_expected_max() == 0) option->disable_flag_override();
  }
}

using commands = std::vector<const CLI::App*>;

/// What is said if no command is named, or none that there is.
static std::invalid_argument no_command(const commands& there, const std::string& complaint) {
  std::string names;
  for (const CLI::App* command : there) names += (names.empty() ? "" : ", ") + command->get_name();
  return std::invalid_argument{complaint + "; there are: " + names + "; see udppump --help"};
}

int main(int argc, char** argv) {
  using namespace udppump::tools;
  if (!have_standard_descriptors()) return exit_failed;  // nobody could be told
  CLI::App app{"Serve one UDP port with many workers.", "udppump"};
  app.set_version_flag("--version", "udppump " UDPPUMP_VERSION);
  app.require_subcommand(0, 1);  // that there is one is said below, with their names
  app.footer("Each command has its own --help, and a man page: udppump-COMMAND(1).");
  app.formatter(std::make_shared<help_formatter>());  // the commands inherit it
  char** const mark = program_mark(argc, argv);
  action chosen;
  add_compare(app, chosen);
  add_doctor(app, chosen);
  add_exec(app, {std::min(mark + 1, argv + argc), argv + argc}, chosen);
  add_load(app, chosen);
  add_metrics(app, chosen);
  add_scale(app, chosen);
  add_stat(app, chosen);
  add_top(app, chosen);
  add_work(app, chosen);
  for (CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) refuse_values_of_flags(*command);
  refuse_values_of_flags(app);
  const commands there = std::as_const(app).get_subcommands([](const CLI::App*) { return true; });
  const std::string first = argc > 1 ? argv[1] : "-";
  try {
    if (!first.starts_with('-') && std::ranges::find(there, first, &CLI::App::get_name) == there.end()) {
      throw no_command(there, "no command \"" + first + '"');
    }
    auto words = with_empty_values(app, {std::min(argv + 1, mark), mark});
    std::ranges::reverse(words);  // as CLI11 wants them
    app.parse(std::move(words));
    if (!chosen) throw no_command(there, "no command is named");
    return printed(chosen());
  } catch (const CLI::Success& told) {
    return printed(app.exit(told));
  } catch (const CLI::ParseError& error) {
    return complain(explain(app, error), exit_usage);
  } catch (const std::invalid_argument& error) {
    return complain(error.what(), exit_usage);
  } catch (const std::system_error& error) {
    return complain(error.what(), code_of(error.code(), exit_failed));
  } catch (const std::exception& error) {
    return complain(error.what(), exit_failed);
  }
}
