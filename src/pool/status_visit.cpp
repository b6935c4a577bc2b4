#include "pool/status_visit.hpp"

#include <poll.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <fstream>
#include <string_view>

#include "pool/peer.hpp"
#include "pool/status_door.hpp"
#include "sys/passed_descriptors.hpp"
#include "sys/sys_file.hpp"

namespace udppump::detail {

namespace {

using clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds patience{300};
constexpr std::size_t most = 1024;

/// Of those that listen, without the zero byte before them. What the kernel lists there anybody may have bound.
std::vector<std::string> names_of_doors() {
  std::vector<std::string> found;
  std::ifstream lines{"/proc/self/net/unix"};
  for (std::string line; std::getline(lines, line);) {
    const auto at = line.rfind(" @");
    if (at == std::string::npos) continue;
    std::string name = line.substr(at + 2);
    if (name.starts_with(status_door_name) && std::ranges::find(found, name) == found.end()) {
      found.push_back(std::move(name));
    }
  }
  return found;
}

descriptor connect_to(const std::string& name) {
  sockaddr_un where{};
  where.sun_family = AF_UNIX;
  if (name.size() >= sizeof where.sun_path) return {};
  std::memcpy(where.sun_path + 1, name.data(), name.size());
  descriptor made{sys::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  if (!made || sys::connect(made.fd(), reinterpret_cast<const sockaddr*>(&where), size) < 0) return {};
  return made;
}

descriptor take_descriptor(int connection, clock::time_point until) {
  pollfd one{.fd = connection, .events = POLLIN, .revents = 0};
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - clock::now());
  if (sys::poll(&one, 1, static_cast<int>(std::max(left, left.zero()).count())) <= 0) return {};
  char word = 0;
  iovec part{&word, sizeof word};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  if (sys::recvmsg(connection, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) <= 0) return {};
  const cmsghdr* const header = CMSG_FIRSTHDR(&message);
  std::vector<descriptor> passed;  // one: there is no room for more, so the kernel installs no more
  if (header != nullptr) take_descriptors(*header, passed);
  return passed.empty() ? descriptor{} : std::move(passed.front());
}

}  // namespace

std::vector<visited_pool> visit_pools(const std::vector<pid_t>& known, pid_t only) {
  struct visit {
    pid_t parent;
    descriptor connection;
  };
  std::vector<visit> visits;
  for (const std::string& name : names_of_doors()) {
    descriptor connection = connect_to(name);
    if (!connection) continue;
    const pid_t parent = peer::of(connection.fd()).pid;
    const bool is_wanted = parent > 0 && (only == 0 || parent == only);
    if (!is_wanted || std::ranges::find(known, parent) != known.end()) continue;
    visits.push_back({parent, std::move(connection)});
    if (visits.size() == most) break;
  }
  // All were asked before, so one that does not answer keeps no other from being heard.
  const auto until = clock::now() + patience;
  std::vector<visited_pool> found;
  for (const visit& each : visits) {
    descriptor memory = take_descriptor(each.connection.fd(), until);
    const auto is_it = [&each](const visited_pool& one) { return one.parent == each.parent; };
    if (memory && std::ranges::none_of(found, is_it)) found.push_back({each.parent, std::move(memory)});
  }
  return found;
}

}  // namespace udppump::detail
