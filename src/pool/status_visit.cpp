#include "pool/status_visit.hpp"

#include <poll.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <fstream>
#include <map>
#include <string>
#include <thread>

#include "pool/peer.hpp"
#include "pool/status_door.hpp"
#include "sys/passed_descriptors.hpp"
#include "sys/sys_file.hpp"

namespace udppump::detail {

namespace {

using clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds patience{300};
constexpr std::chrono::microseconds between_tries{200};
/// Of one user: who binds many such names keeps nobody from those of others.
constexpr std::size_t most_of_a_user = 256;

/// Of those that listen, without the zero byte before them. What the kernel lists there anybody may have bound.
std::vector<std::string> names_of_doors() {
  std::vector<std::string> found;
  std::ifstream lines{"/proc/self/net/unix"};
  for (std::string line; std::getline(lines, line);) {
    const auto at = line.rfind(" @");
    if (at == std::string::npos) continue;
    std::string name = line.substr(at + 2);
    if (name.starts_with(status_door_name)) found.push_back(std::move(name));
  }
  std::ranges::sort(found);  // a door stands there once more for each that waits at it
  found.erase(std::unique(found.begin(), found.end()), found.end());
  return found;
}

/// Without waiting. -EAGAIN: too many wait there.
descriptor connect_to(const std::string& name) {
  sockaddr_un where{};
  where.sun_family = AF_UNIX;
  if (name.size() >= sizeof where.sun_path) return {};
  std::memcpy(where.sun_path + 1, name.data(), name.size());
  descriptor made{sys::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  if (!made) return made;
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  const int refused = sys::connect(made.fd(), reinterpret_cast<const sockaddr*>(&where), size);
  return refused < 0 ? descriptor{refused} : std::move(made);
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

/// Those that were let in, one visit for each process.
class visits {
 public:
  struct visit {
    pid_t parent;
    descriptor connection;
  };

  visits(const std::vector<pid_t>& known, pid_t only) : known_{known}, only_{only} {}

  /// False if too many wait there.
  bool try_at(const std::string& name) {
    descriptor connection = connect_to(name);
    if (!connection) return connection.fd() != -EAGAIN;
    const peer who = peer::of(connection.fd());
    const auto is_its = [&who](const visit& one) { return one.parent == who.pid; };
    const bool is_wanted = who.pid > 0 && (only_ == 0 || who.pid == only_);
    if (!is_wanted || std::ranges::find(known_, who.pid) != known_.end() || std::ranges::any_of(all_, is_its)) {
      return true;
    }
    if (++of_user_[who.user] <= most_of_a_user) all_.push_back({who.pid, std::move(connection)});
    return true;
  }

  const std::vector<visit>& all() const noexcept { return all_; }

 private:
  const std::vector<pid_t>& known_;
  const pid_t only_;
  std::vector<visit> all_;
  std::map<uid_t, std::size_t> of_user_;
};

}  // namespace

visited_pools visit_pools(const std::vector<pid_t>& known, pid_t only) {
  visits begun{known, only};
  auto busy = names_of_doors();
  const auto until = clock::now() + patience;
  for (;;) {
    std::erase_if(busy, [&begun](const std::string& name) { return begun.try_at(name); });
    if (busy.empty() || clock::now() >= until) break;
    std::this_thread::sleep_for(
        between_tries);  // strangers may keep its queue full; each that it lets in leaves a place
  }
  // All were asked before, so one that does not answer keeps no other from being heard.
  const auto answered_until = clock::now() + patience;
  visited_pools found{.let_in = {}, .busy = busy.size()};
  for (const auto& each : begun.all()) {
    descriptor memory = take_descriptor(each.connection.fd(), answered_until);
    if (memory) found.let_in.push_back({each.parent, std::move(memory)});
  }
  return found;
}

}  // namespace udppump::detail
