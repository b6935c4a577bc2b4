#include "pool/service_manager.hpp"

#include <cstdlib>

#include "sys/failure.hpp"

#if defined(UDPPUMP_HAS_SYSTEMD)
#include <systemd/sd-daemon.h>
#endif

namespace udppump::detail {

namespace {

void notify([[maybe_unused]] const std::string& state) {
#if defined(UDPPUMP_HAS_SYSTEMD)
  static_cast<void>(sd_notify(0, state.c_str()));  // nobody there, or nobody listens: the service goes on
#endif
}

std::string status_line(const std::string& text) { return "\nSTATUS=" + text; }

}  // namespace

std::vector<passed_socket> service_manager::take_sockets() {
  std::vector<passed_socket> passed;
#if defined(UDPPUMP_HAS_SYSTEMD)
  char** names = nullptr;
  const char* const told = std::getenv("LISTEN_FDS");
  const std::string value = told != nullptr ? told : "";
  const int count = sd_listen_fds_with_names(1, &names);
  if (count < 0) {
    fail(EBADF, "LISTEN_FDS=" + value + " does not go with the descriptors from 3 on that are open (" +
                    code_of(count).message() + "); start by a socket unit, or unset it");
  }
  for (int at = 0; at < count; ++at) {
    passed.push_back({descriptor{SD_LISTEN_FDS_START + at}, {.name = names[at], .from_service_manager = true}});
    std::free(names[at]);
  }
  std::free(names);
#else
  if (std::getenv("LISTEN_FDS") != nullptr) {
    fail(ENOSYS,
         "LISTEN_FDS is set, but udppump was built without libsystemd; build it with libsystemd, or unset LISTEN_FDS "
         "and "
         "give addresses to bind");
  }
#endif
  return passed;
}

service_manager::service_manager() {
#if defined(UDPPUMP_HAS_SYSTEMD)
  std::uint64_t interval = 0;
  // Half of what is allowed, as sd_watchdog_enabled(3) recommends.
  if (sd_watchdog_enabled(0, &interval) > 0) watchdog_ = std::chrono::microseconds{interval / 2};
#endif
}

void service_manager::ready(const std::string& status) const { notify("READY=1" + status_line(status)); }

void service_manager::reloading(const std::string& status) const {
  // CLOCK_MONOTONIC, which is what systemd compares it with (sd_notify(3)).
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  const auto microseconds = std::chrono::duration_cast<std::chrono::microseconds>(now).count();
  notify("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(microseconds) + status_line(status));
}

void service_manager::stopping(const std::string& status) const { notify("STOPPING=1" + status_line(status)); }
void service_manager::status(const std::string& text) const { notify("STATUS=" + text); }
void service_manager::main_process(int pid, const std::string& status) const {
  notify("MAINPID=" + std::to_string(pid) + status_line(status));
}
void service_manager::feed_watchdog() const { notify("WATCHDOG=1"); }

}  // namespace udppump::detail
