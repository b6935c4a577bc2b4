#include "support/exec_service.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <stdexcept>
#include <thread>

#include "support/system.hpp"

namespace bench {
namespace {

using namespace std::chrono_literals;

std::vector<std::string> command_of(const std::vector<std::string>& options) {
  std::vector<std::string> command{UDPPUMP_TOOL, "exec", "--bind", "127.0.0.1:0"};
  command.insert(command.end(), options.begin(), options.end());
  for (const std::string& each :
       {std::string{"--"}, find_program("python3").value_or("python3"), std::string{UDPPUMP_PYTHON_WORKER}}) {
    command.push_back(each);
  }
  return command;
}

}  // namespace

exec_service::exec_service(const std::vector<std::string>& options)
    : program_{command_of(options), directory_.path() / "output"} {
  constexpr std::string_view before = " serve 127.0.0.1:";
  for (const auto deadline = wall_time() + 10s; !program_.has_ended() && wall_time() < deadline;) {
    const std::string printed = program_.printed();
    const auto found = printed.find(before);
    if (found != std::string::npos && printed.find('\n', found) != std::string::npos) {
      const auto port = found + before.size();
      server_ = udppump::address::parse("127.0.0.1:" + printed.substr(port, printed.find('\n', found) - port));
      return;
    }
    std::this_thread::sleep_for(5ms);
  }
  throw std::runtime_error{fmt::format("Python's workers do not come to serve:\n{}", program_.printed())};
}

std::string why_no_exec_service() { return find_program("python3") ? "" : "python3 is not installed"; }

}  // namespace bench
