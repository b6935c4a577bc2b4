#include <cstdio>
#include <exception>
#include <stdexcept>

#include "command.hpp"

/// One line, with the cause and, where one is known, the cure.
static int complain(const std::exception& error, int code) {
  std::fprintf(stderr, "udppump: %s\n", error.what());
  return code;
}

int main(int argc, char** argv) {
  using namespace udppump::tools;
  CLI::App app{"Serve one UDP port with many workers.", "udppump"};
  app.set_version_flag("--version", "udppump " UDPPUMP_VERSION);
  app.require_subcommand(1);
  action chosen;
  add_compare(app, chosen);
  add_load(app, chosen);
  add_work(app, chosen);
  try {
    app.parse(argc, argv);
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
