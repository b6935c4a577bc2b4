#include <algorithm>
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string_view>

#include "command.hpp"

/// One line, with the cause and, where one is known, the cure.
static int complain(const std::exception& error, int code) {
  std::fprintf(stderr, "udppump: %s\n", error.what());
  return code;
}

/// Where the "--" of `udppump exec ... -- PROGRAM` stands; the end where there is none.
static char** program_mark(int argc, char** argv) {
  const bool runs_programs = argc > 1 && std::string_view{argv[1]} == "exec";
  return runs_programs ? std::find(argv + 2, argv + argc, std::string_view{"--"}) : argv + argc;
}

int main(int argc, char** argv) {
  using namespace udppump::tools;
  CLI::App app{"Serve one UDP port with many workers.", "udppump"};
  app.set_version_flag("--version", "udppump " UDPPUMP_VERSION);
  app.require_subcommand(1);
  app.footer("Each command has its own --help, and a man page: udppump-COMMAND(1).");
  char** const mark = program_mark(argc, argv);
  action chosen;
  add_compare(app, chosen);
  add_load(app, chosen);
  add_work(app, chosen);
  add_exec(app, {std::min(mark + 1, argv + argc), argv + argc}, chosen);
  try {
    app.parse(static_cast<int>(mark - argv), argv);
    return chosen();
  } catch (const CLI::Success& told) {
    return app.exit(told);
  } catch (const CLI::ParseError& error) {
    std::fprintf(stderr, "udppump: %s; see udppump %s--help\n", error.what(),
                 argc > 1 && argv[1][0] != '-' ? (std::string{argv[1]} + ' ').c_str() : "");
    return exit_usage;
  } catch (const std::invalid_argument& error) {
    return complain(error, exit_usage);
  } catch (const std::exception& error) {
    return complain(error, exit_failed);
  }
}
