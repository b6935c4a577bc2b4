#include "pool/notify_socket.hpp"

#include <sys/un.h>

#include <array>
#include <cstddef>
#include <sstream>

#include "sys/credentials.hpp"
#include "sys/failure.hpp"
#include "sys/sys.hpp"

namespace udppump::detail {

namespace {

notify_socket::word word_of(pid_t sender, const std::string& message) {
  notify_socket::word said{.pid = sender, .is_ready = false, .goes_on = false};
  std::istringstream lines{message};
  for (std::string line; std::getline(lines, line);) {
    if (line == "READY=1") said.is_ready = true;
    if (line == "WATCHDOG=1") said.goes_on = true;
  }
  return said;
}

/// 0 if the kernel does not tell, or the process is in no PID namespace of this one's.
pid_t sender_of(msghdr& message) {
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (const auto who = credentials_in(*header)) return who->pid;
  }
  return 0;
}

}  // namespace

notify_socket::notify_socket() : socket_{sys::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)} {
  if (!socket_) fail_with_cure(socket_.fd(), "a socket for READY=1");
  if (const int set = sys::setsockopt(fd(), SOL_SOCKET, SO_PASSCRED, 1); set < 0) {
    fail_with_cure(set, "SO_PASSCRED on the socket for READY=1");
  }
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  auto size = static_cast<socklen_t>(sizeof name.sun_family);  // the kernel chooses the name (unix(7), autobind)
  if (const int bound = sys::bind(fd(), reinterpret_cast<const sockaddr*>(&name), size); bound < 0) {
    fail_with_cure(bound, "bind of the socket for READY=1");
  }
  size = sizeof name;
  if (const int told = sys::getsockname(fd(), reinterpret_cast<sockaddr*>(&name), &size); told < 0) {
    fail_with_cure(told, "getsockname of the socket for READY=1");
  }
  const std::size_t prefix = offsetof(sockaddr_un, sun_path) + 1;
  name_ = '@' + std::string{name.sun_path + 1, size > prefix ? size - prefix : 0};
}

std::vector<notify_socket::word> notify_socket::take(clock::time_point now) {
  std::vector<word> said;
  if (now < polled_from_) return said;
  for (int taken = 0; taken < most_at_once; ++taken) {
    std::array<char, longest> text;
    // Descriptors that come along find no room, and are closed by the kernel.
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(ucred))> control;
    iovec part{text.data(), text.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t size = sys::recvmsg(fd(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (size < 0) return said;
    if ((message.msg_flags & MSG_TRUNC) != 0) continue;
    const pid_t sender = sender_of(message);
    if (sender > 0) said.push_back(word_of(sender, {text.data(), static_cast<std::size_t>(size)}));
  }
  polled_from_ = now + pause;
  return said;
}

}  // namespace udppump::detail
