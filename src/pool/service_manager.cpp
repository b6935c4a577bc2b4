#include "pool/service_manager.hpp"

#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <string_view>
#include <thread>
#include <utility>

#include "address/raw_address.hpp"
#include "sys/failure.hpp"
#include "sys/sys.hpp"
#include "sys/sys_file.hpp"
#include "udppump/descriptor.hpp"

#if defined(UDPPUMP_HAS_SYSTEMD)
#include <systemd/sd-daemon.h>
#endif

namespace udppump::detail {

namespace {

constexpr std::chrono::milliseconds between_tries{100};
constexpr std::size_t most_untaken = 16;  // more than one life has to say, but for its status

/// Where NOTIFY_SOCKET says: a path, or an abstract name (unix(7)); none if it says nothing of the kind.
address manager_address() noexcept {
  const char* const told = std::getenv("NOTIFY_SOCKET");
  sockaddr_un where{};
  const std::size_t length = told == nullptr ? 0 : std::strlen(told);
  if (length < 2 || (told[0] != '/' && told[0] != '@') || length >= sizeof where.sun_path) return {};
  where.sun_family = AF_UNIX;
  std::memcpy(where.sun_path, told, length);
  if (told[0] == '@') where.sun_path[0] = '\0';
  return address_of(where, offsetof(sockaddr_un, sun_path) + length);
}

/// sd_notify(3) says the same, but waits while the other's queue is full. 0 if there is nobody to tell, or -errno.
int notify(const std::string& state) {
  const address to = manager_address();
  if (to.is_none()) return 0;
  const descriptor socket{sys::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  if (!socket) return socket.fd();
  const ssize_t sent =
      sys::sendto(socket.fd(), state.data(), state.size(), MSG_DONTWAIT | MSG_NOSIGNAL, to.data(), to.size());
  return static_cast<int>(std::min<ssize_t>(sent, 0));
}

std::string status_line(const std::string& text) { return "\nSTATUS=" + text; }

/// "WATCHDOG_USEC=x, WATCHDOG_PID=1", of those that are set.
std::string in_environment(std::initializer_list<const char*> names) {
  std::string text;
  for (const char* const name : names) {
    const char* const value = std::getenv(name);
    if (value != nullptr) text += (text.empty() ? "" : ", ") + std::string{name} + '=' + value;
  }
  return text;
}

/// An abstract name, or a path at which there is a socket now.
bool is_address_of_service_manager(const address& where) {
  const std::string path = where.unix_path();
  struct stat about {};
  return path.starts_with('@') || (sys::status_of(path.c_str(), about) >= 0 && S_ISSOCK(about.st_mode));
}

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
  const int asked = sd_watchdog_enabled(0, &interval);
  // Half of what is allowed, as sd_watchdog_enabled(3) recommends.
  if (asked > 0) watchdog_ = std::chrono::microseconds{interval / 2};
  // A WATCHDOG_PID of another process is right: the variables are that one's.
  if (asked < 0) {
    complaint_ = "no watchdog is fed: " + in_environment({"WATCHDOG_USEC", "WATCHDOG_PID"}) +
                 " in the environment must be numbers above 0; correct or unset them";
  }
#endif
  if (std::getenv("NOTIFY_SOCKET") != nullptr && !is_address_of_service_manager(manager_address())) {
    complaint_ += (complaint_.empty() ? "" : "; and ") + std::string{"no service manager is notified: "} +
                  in_environment({"NOTIFY_SOCKET"}) + " in the environment is no path of a socket; correct or unset it";
  }
}

void service_manager::say(std::string state) {
  constexpr std::string_view only_status = "STATUS=";
  // The newest status is enough.
  if (!untaken_.empty() && untaken_.back().starts_with(only_status) && state.starts_with(only_status))
    untaken_.pop_back();
  untaken_.push_back(std::move(state));
  if (untaken_.size() > most_untaken) untaken_.pop_front();
  say_again(clock::now());
}

void service_manager::say_again(clock::time_point now) {
  again_at_ = clock::time_point::max();
  while (!untaken_.empty()) {
    // Nobody there, or nobody who listens: the service goes on.
    if (notify(untaken_.front()) == -EAGAIN) {
      again_at_ = now + between_tries;
      return;
    }
    untaken_.pop_front();
  }
}

void service_manager::say_the_rest() {
  constexpr std::chrono::seconds longest{2};
  constexpr std::chrono::milliseconds pause{10};
  for (const auto until = clock::now() + longest; !untaken_.empty() && clock::now() < until;) {
    std::this_thread::sleep_for(pause);
    say_again(clock::now());
  }
}

void service_manager::ready(const std::string& status) { say("READY=1" + status_line(status)); }

void service_manager::reloading(const std::string& status) {
  // CLOCK_MONOTONIC, which is what systemd compares it with (sd_notify(3)).
  const auto now = clock::now().time_since_epoch();
  const auto microseconds = std::chrono::duration_cast<std::chrono::microseconds>(now).count();
  say("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(microseconds) + status_line(status));
}

void service_manager::stopping(const std::string& status) { say("STOPPING=1" + status_line(status)); }
void service_manager::status(const std::string& text) { say("STATUS=" + text); }
void service_manager::main_process(int pid, const std::string& status) {
  say("MAINPID=" + std::to_string(pid) + status_line(status));
}
void service_manager::feed_watchdog() {
  if (untaken_.empty()) static_cast<void>(notify("WATCHDOG=1"));
}

}  // namespace udppump::detail
