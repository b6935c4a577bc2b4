#include "pool/peer.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <climits>
#include <string_view>

#include "sys/cut_text.hpp"
#include "sys/process_status.hpp"
#include "sys/sys.hpp"
#include "sys/sys_file.hpp"
#include "udppump/descriptor.hpp"

namespace udppump::detail {

namespace {

std::string program_of(pid_t pid) {
  const std::string folder = folder_of_process(pid);
  char text[PATH_MAX];
  const ssize_t path = sys::read_link((folder + "/exe").c_str(), text, sizeof text);
  if (path > 0) return "; it runs " + std::string{text, static_cast<std::size_t>(path)};
  const descriptor name{sys::open((folder + "/comm").c_str(), O_RDONLY)};
  const ssize_t size = name ? sys::read(name.fd(), text, 64) : 0;
  if (size <= 1) return {};
  // The kernel cuts it to 15 bytes.
  const std::string_view all{text, static_cast<std::size_t>(size - 1)};
  return "; it calls itself \"" + std::string{all.substr(0, whole_size(all))} + '"';
}

}  // namespace

bool peer_lives(int fd) {
  int pidfd = -1;
  const int asked = sys::peer_pidfd(fd, pidfd);
  if (asked == -ESRCH) return false;
  if (asked < 0) return true;
  const descriptor process{pidfd};
  pollfd end{.fd = process.fd(), .events = POLLIN, .revents = 0};
  return sys::poll(&end, 1, 0) <= 0;
}

peer peer::of(int fd) noexcept {
  ucred who{};
  if (sys::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, who) < 0) return {};
  return {.pid = who.pid, .user = who.uid};
}

bool peer::is_stopped() const {
  const std::string state = pid > 0 ? status_of_process(pid, "State") : "";
  return state.starts_with('T') || state.starts_with('t');
}

std::string peer::called() const {
  return pid > 0 ? "pid " + std::to_string(pid) : "a process of another PID namespace";
}

std::string description_of_peer(int fd) {
  const peer who = peer::of(fd);
  std::string about = who.called() + " of user " + std::to_string(who.user);
  if (who.pid <= 0) return about;
  // Looked up first: a number may belong to another process as soon as its own has ended.
  const std::string program = program_of(who.pid);
  return about + (peer_lives(fd) ? program : "; it has ended");
}

}  // namespace udppump::detail
