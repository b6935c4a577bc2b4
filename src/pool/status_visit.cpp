#include "pool/status_visit.hpp"

#include <poll.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <fstream>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "pool/peer.hpp"
#include "pool/status_door.hpp"
#include "sys/passed_descriptors.hpp"
#include "sys/sys_file.hpp"

namespace udppump::detail {

namespace {

using clock = std::chrono::steady_clock;

/// For an answer of those that were asked together.
constexpr std::chrono::milliseconds patience{300};
constexpr std::chrono::microseconds between_tries{200};
/// Whoever binds very many such names has others found late, or not at all, and is told of.
constexpr std::chrono::seconds longest{3};
constexpr std::size_t most_at_once = 128;

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

struct visit {
  pid_t parent;
  descriptor connection;
};

/// The doors that are left, and at whose they were: one of each process comes first.
class doors {
 public:
  explicit doors(std::vector<std::string> names) : names_{std::move(names)} {}

  /// Connects to some, as many as are visited at once. What stays is at which too many wait, or for which no descriptor
  /// is left now. `wants` says of a process whether it is one to visit.
  template <class Wants>
  std::vector<visit> knock(Wants wants) {
    if (names_.empty()) {
      names_ = std::exchange(later_, {});
      asked_.clear();
    }
    std::vector<visit> begun;
    // For what they pass, and to look who they are.
    std::array<descriptor, 4> spare;
    for (descriptor& each : spare) each = descriptor{sys::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)};
    std::erase_if(names_, [&](const std::string& name) {
      if (begun.size() == most_at_once) return false;
      descriptor connection = connect_to(name);
      if (!connection) return connection.fd() != -EAGAIN && connection.fd() != -EMFILE && connection.fd() != -ENFILE;
      const pid_t parent = peer::of(connection.fd()).pid;
      // Of one that has ended the number may be another's by now, and the socket anybody's.
      if (parent <= 0 || !wants(parent) || !peer_lives(connection.fd())) return true;
      if (asked_.insert(parent).second) {
        begun.push_back({parent, std::move(connection)});
      } else {
        later_.push_back(name);
      }
      return true;
    });
    return begun;
  }
  bool any() const noexcept { return !names_.empty() || !later_.empty(); }
  /// At which nobody was asked, and whose they are is not known.
  std::size_t unheard() const noexcept { return names_.size(); }

 private:
  std::vector<std::string> names_;
  std::vector<std::string> later_;
  std::set<pid_t> asked_;
};

}  // namespace

visited_pools visit_pools(const std::vector<pid_t>& known, pid_t only) {
  visited_pools found;
  const auto is_found = [&found](pid_t parent) {
    return std::ranges::find(found.let_in, parent, &visited_pool::parent) != found.let_in.end();
  };
  const auto wants = [&](pid_t parent) {
    return (only == 0 || parent == only) && std::ranges::find(known, parent) == known.end() && !is_found(parent);
  };
  doors left{names_of_doors()};
  const auto begin = clock::now();
  for (auto busy_until = begin + patience; left.any() && clock::now() < begin + longest;) {
    const auto begun = left.knock(wants);
    if (begun.empty()) {
      // Strangers may keep a door's queue full; each that it lets in leaves a place.
      if (clock::now() >= busy_until) break;
      std::this_thread::sleep_for(between_tries);
      continue;
    }
    // All were asked before, so one that does not answer keeps no other from being heard.
    const auto until = clock::now() + patience;
    for (const visit& each : begun) {
      descriptor memory = take_descriptor(each.connection.fd(), until);
      if (memory && !is_found(each.parent)) found.let_in.push_back({each.parent, std::move(memory)});
    }
    if (only != 0 && is_found(only)) break;
    busy_until = clock::now() + patience;
  }
  found.unheard = left.unheard();
  return found;
}

}  // namespace udppump::detail
