#include "doctor/unit_facts.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "doctor/file_tree.hpp"
#include "load/plan/quantity.hpp"
#include "udppump/descriptor.hpp"

namespace udppump::doctor {

namespace {

/// "30s", "1min 30s", "500ms", "0", "infinity", as systemd writes times.
std::chrono::microseconds parse_span(std::string_view text) {
  std::chrono::nanoseconds sum{0};
  for (const auto word : words_of(text)) {
    if (word == "infinity") return std::chrono::microseconds{0};
    try {
      sum += load::parse_duration_in(std::chrono::microseconds{1}, word);
    } catch (const std::invalid_argument&) {
      return std::chrono::microseconds{0};  // days and more: nothing to complain of
    }
  }
  return std::chrono::duration_cast<std::chrono::microseconds>(sum);
}

/// All that comes until the end, or nothing if that takes too long.
std::optional<std::string> read_all(int fd) {
  constexpr std::chrono::seconds longest{2};
  const auto until = std::chrono::steady_clock::now() + longest;
  std::string all;
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
    pollfd one{fd, POLLIN, 0};
    if (left.count() <= 0) return {};
    const int ready = ::poll(&one, 1, static_cast<int>(left.count()));
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return {};
    std::array<char, 4096> some;
    const ssize_t size = ::read(fd, some.data(), some.size());
    if (size < 0) return {};
    if (size == 0) return all;
    all.append(some.data(), static_cast<std::size_t>(size));
  }
}

}  // namespace

unit_facts parse_unit(std::string_view shown) {
  const auto value = [&](std::string_view name) { return std::string{after(shown, name).value_or("")}; };
  unit_facts facts;
  facts.name = value("Id=");
  facts.type = value("Type=");
  facts.notify_access = value("NotifyAccess=");
  facts.kill_mode = value("KillMode=");
  facts.restart = value("Restart=");
  facts.watchdog = parse_span(value("WatchdogUSec="));
  facts.restarts = number_of(value("NRestarts=")).value_or(0);
  facts.needs_reload = value("NeedDaemonReload=") == "yes";
  return facts;
}

std::optional<std::string> ask_for_unit(const std::string& name) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return {};
  const detail::descriptor reading{ends[0]};
  std::optional<detail::descriptor> writing{std::in_place, ends[1]};
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, writing->fd(), STDOUT_FILENO);
  ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  std::string program = "/usr/bin/systemctl", end = "--", unit = name;
  std::string show = "show", names =
                                 "--property=Id,Type,NotifyAccess,KillMode,Restart,WatchdogUSec,NRestarts,"
                                 "NeedDaemonReload";
  std::string quiet = "--no-pager";
  char* const arguments[] = {program.data(), show.data(), quiet.data(), names.data(), end.data(), unit.data(), nullptr};
  pid_t child = 0;
  const int refused = ::posix_spawn(&child, program.c_str(), &actions, nullptr, arguments, environ);
  ::posix_spawn_file_actions_destroy(&actions);
  if (refused != 0) return {};
  writing.reset();
  auto told = read_all(reading.fd());
  if (!told) ::kill(child, SIGKILL);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return told && WIFEXITED(status) && WEXITSTATUS(status) == 0 ? told : std::nullopt;
}

}  // namespace udppump::doctor
