#include "pool/status_door.hpp"

#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>

#include "pool/account.hpp"
#include "sys/failure.hpp"
#include "sys/passed_descriptors.hpp"
#include "sys/sys_file.hpp"
#include "sys/sys_user.hpp"

namespace udppump::detail {

namespace {

constexpr int most_at_once = 32;
constexpr std::chrono::milliseconds pause{20};
constexpr int backlog = 128;

/// No two pools, and no stranger, have the same.
descriptor listen_somewhere() {
  std::uint64_t chance[2] = {};
  if (const auto came = sys::random(chance, sizeof chance); came != static_cast<ssize_t>(sizeof chance)) {
    fail_with_cure(came < 0 ? came : -EIO, "getrandom for the name of the status socket");
  }
  descriptor listener{sys::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  if (!listener) fail_with_cure(listener.fd(), "the status socket");
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  const int size =
      std::snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "%s%016llx%016llx", status_door_name,
                    static_cast<unsigned long long>(chance[0]), static_cast<unsigned long long>(chance[1]));
  const auto whole = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + static_cast<std::size_t>(size));
  if (const int bound = sys::bind(listener.fd(), reinterpret_cast<const sockaddr*>(&name), whole); bound < 0) {
    fail_with_cure(bound, "bind of the status socket");
  }
  if (const int listens = sys::listen(listener.fd(), backlog); listens < 0) {
    fail_with_cure(listens, "listen on the status socket");
  }
  return listener;
}

bool send_descriptor(int connection, int fd) noexcept {
  char word = 'm';
  iovec part{&word, sizeof word};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof fd)> control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  pass_descriptors(message, control, {&fd, 1});
  return sys::sendmsg(connection, &message, MSG_NOSIGNAL | MSG_DONTWAIT) > 0;
}

}  // namespace

status_door::status_door(const std::string& group, const board& shared)
    : group_{group_called(group)}, memory_{shared.memory_to_read()}, listener_{listen_somewhere()} {
  if (!memory_) {
    fail(memory_.fd(), "the pool's memory for members of group " + group,
         "mount /proc, or omit status_group (--status-group)");
  }
  visitors_.reserve(most_visitors);
}

void status_door::list(std::vector<int>& own) const {
  own.push_back(memory_.fd());
  own.push_back(listener_.fd());
  for (const visitor& each : visitors_) own.push_back(each.connection.fd());
}

void status_door::look(clock::time_point now) noexcept {
  for (int taken = 0; taken < most_at_once; ++taken) {
    descriptor connection{sys::accept(listener_.fd())};
    if (!connection && connection.fd() == -ECONNABORTED) continue;
    if (!connection) {
      // Too many files are open, for example: those who wait are not looked at in a loop.
      if (connection.fd() != -EAGAIN) break;
      return;
    }
    let_in(std::move(connection));
  }
  polled_from_ = now + pause;
}

void status_door::let_in(descriptor connection) noexcept {
  uid_t user = 0;
  if (!may_look(connection.fd(), user) || !has_room_for(user)) return;
  if (send_descriptor(connection.fd(), memory_.fd())) visitors_.push_back({std::move(connection), user});
}

/// By what the kernel noted when it connected (unix(7)): root, the pool's own user, members of the group.
bool status_door::may_look(int connection, uid_t& user) const noexcept {
  ucred who{};
  if (sys::getsockopt(connection, SOL_SOCKET, SO_PEERCRED, who) < 0) return false;
  user = who.uid;
  if (who.uid == 0 || who.uid == sys::effective_user() || who.gid == group_) return true;
  constexpr int option = 59;            // SO_PEERGROUPS, Linux 4.13
  constexpr std::size_t most = 65'536;  // NGROUPS_MAX
  std::array<gid_t, 64> few{};
  socklen_t size = sizeof few;
  int told = sys::getsockopt_sized(connection, SOL_SOCKET, option, few.data(), size);
  if (told >= 0)
    return std::find(few.begin(), few.begin() + size / sizeof(gid_t), group_) != few.begin() + size / sizeof(gid_t);
  if (told != -ERANGE || size > most * sizeof(gid_t)) return false;
  std::vector<gid_t> all(size / sizeof(gid_t));
  told = sys::getsockopt_sized(connection, SOL_SOCKET, option, all.data(), size);
  return told >= 0 && std::find(all.begin(), all.end(), group_) != all.end();
}

/// Whoever has taken the descriptor, or has gone, is none of them any more.
bool status_door::has_room_for(uid_t user) noexcept {
  std::erase_if(visitors_, [](const visitor& each) { return sys::unread_by_peer(each.connection.fd()) <= 0; });
  const auto of_user =
      std::count_if(visitors_.begin(), visitors_.end(), [user](const visitor& each) { return each.user == user; });
  return visitors_.size() < most_visitors && static_cast<std::size_t>(of_user) < most_of_a_user;
}

}  // namespace udppump::detail
