#include "pool/main_process.hpp"

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <string_view>

#include "sys/printable.hpp"
#include "sys/process_status.hpp"
#include "sys/sys_process.hpp"

namespace udppump::detail {

namespace {

/// By the name that the kernel has of each (15 bytes at most).
constexpr std::string_view supervisors[] = {"runsv",       "s6-supervise", "supervise",   "supervisord", "tini",
                                            "tini-static", "dumb-init",    "docker-init", "catatonit",   "nosh"};
/// As process 1 these adopt daemons, whose end says nothing to them.
constexpr std::string_view adopting[] = {"systemd", "init"};

template <class List>
bool is_in(const List& all, std::string_view name) {
  return std::find(std::begin(all), std::end(all), name) != std::end(all);
}

}  // namespace

std::string why_it_may_not_be_replaced() {
  const pid_t own = sys::process_id();
  if (own == 1) {
    return "this is process 1, with whose end the kernel ends all others here; for new code restart the container, and "
           "for new workers send SIGHUP";
  }
  if (std::getenv("NOTIFY_SOCKET") != nullptr) return {};  // it is told who serves
  constexpr char cure[] = "; for new code have it restart this one, and for new workers send SIGHUP";
  if (const char* const unit = std::getenv("SYSTEMD_EXEC_PID"); unit != nullptr && unit == std::to_string(own)) {
    return "systemd takes its end for the end of the service; set Type=notify in the unit, so that it is told of the "
           "new main process";
  }
  const pid_t parent = sys::parent_id();
  const std::string name = status_of_process(parent, "Name");
  if (!is_in(supervisors, name) && (parent != 1 || name.empty() || is_in(adopting, name))) return {};
  return quoted(name) + " (pid " + std::to_string(parent) +
         "), which started it, takes its end for the end of the service" + cure;
}

}  // namespace udppump::detail
