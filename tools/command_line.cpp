#include "command_line.hpp"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <cstdio>

namespace udppump::tools {
namespace {

std::atomic<bool> interrupted{false};  // a signal handler gets at nothing else
static_assert(std::atomic<bool>::is_always_lock_free);

extern "C" void on_interrupt(int) { interrupted = true; }

}  // namespace

const std::atomic<bool>& interruption() {
  static const bool installed = [] {
    struct sigaction action {};
    action.sa_handler = on_interrupt;
    action.sa_flags = static_cast<int>(SA_RESETHAND);
    ::sigaction(SIGINT, &action, nullptr);
    ::sigaction(SIGTERM, &action, nullptr);
    return true;
  }();
  static_cast<void>(installed);
  return interrupted;
}

status_line::status_line(bool wanted) : on_terminal_{wanted && ::isatty(STDERR_FILENO) == 1} {}

void status_line::show(const std::string& text) {
  if (on_terminal_) fmt::print(stderr, "\r{}\033[K", text);  // ECMA-48: erase to the end of the line
}

void status_line::clear() {
  if (on_terminal_) fmt::print(stderr, "\r\033[K");
}

}  // namespace udppump::tools
