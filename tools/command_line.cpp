#include "command_line.hpp"

#include <fmt/format.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <system_error>

#include "command.hpp"

namespace udppump::tools {
namespace {

std::atomic<bool> interrupted{false};  // a signal handler gets at nothing else
static_assert(std::atomic<bool>::is_always_lock_free);

extern "C" void on_interrupt(int) { interrupted = true; }

/// One that can write over a line.
bool is_terminal() {
  const char* const kind = std::getenv("TERM");
  return ::isatty(STDERR_FILENO) == 1 && kind != nullptr && std::string_view{kind} != "dumb";
}

CLI::Option* add_option(CLI::App& app, const std::string& name,
                        const std::function<void(const std::vector<std::string>&)>& read, const option_text& text) {
  const auto checked = [read, name](const std::vector<std::string>& given) {
    try {
      read(given);
    } catch (const std::invalid_argument& why) {
      throw CLI::ValidationError{name, why.what()};
    }
  };
  auto* const option = app.add_option_function<std::vector<std::string>>(name, checked, text.description)
                           ->type_name(text.unit)
                           ->expected(1)
                           ->take_all()  // how often it may be given is decided below
                           ->allow_extra_args(false);
  if (!text.shown.empty()) option->default_str(text.shown);
  if (!text.group.empty()) option->group(text.group);
  return option;
}

}  // namespace

int code_of(const std::error_code& refused, int otherwise) noexcept {
  for (const auto usage : {std::errc::invalid_argument, std::errc::no_such_file_or_directory,
                           std::errc::not_a_directory, std::errc::is_a_directory, std::errc::filename_too_long,
                           std::errc::no_such_device, std::errc::address_not_available}) {
    if (refused == usage) return exit_usage;
  }
  return otherwise;
}

CLI::Option* add_read(CLI::App& app, const std::string& name, std::function<void(const std::string&)> read,
                      const option_text& text) {
  const auto once = [read = std::move(read)](const std::vector<std::string>& given) {
    if (given.size() > 1) throw std::invalid_argument{"is given more than once; give it once"};
    read(given.front());
  };
  return add_option(app, name, once, text);
}

CLI::Option* add_repeated(CLI::App& app, const std::string& name, std::function<void(const std::string&)> read,
                          const option_text& text) {
  const auto each = [read = std::move(read)](const std::vector<std::string>& given) {
    for (const auto& one : given) read(one);
  };
  return add_option(app, name, each, text);
}

std::string not_empty(const std::string& text) {
  if (text.empty()) throw std::invalid_argument{"is empty; omit the option, or give it a value"};
  return text;
}

const std::atomic<bool>& interruption() {
  static const bool installed = [] {
    struct sigaction handling {};
    handling.sa_handler = on_interrupt;
    handling.sa_flags = static_cast<int>(SA_RESETHAND);
    ::sigaction(SIGINT, &handling, nullptr);
    ::sigaction(SIGTERM, &handling, nullptr);
    return true;
  }();
  static_cast<void>(installed);
  return interrupted;
}

status_line::status_line(bool wanted) : wanted_{wanted}, on_terminal_{wanted && is_terminal()} {}

std::size_t status_line::width() const noexcept {
  winsize size{};
  const bool known = ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return (known ? size.ws_col : 80U) - 1;  // what fills the last column may begin another line
}

void status_line::show(const std::string& text, const std::string& step) {
  if (on_terminal_) {
    fmt::print(stderr, "\r{:.{}}\033[K", text, width());  // ECMA-48: erase to the end of the line
  } else if (wanted_ && !step.empty() && step != step_) {
    step_ = step;
    fmt::print(stderr, "{}\n", step);
  }
}

void status_line::clear() {
  if (on_terminal_) fmt::print(stderr, "\r\033[K");
}

}  // namespace udppump::tools
