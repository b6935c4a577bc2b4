// Whom a pool lets look at it, and what they cannot do with what they get.

#include <fcntl.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

#include "pool/peer.hpp"
#include "pool/status_door.hpp"
#include "pool/status_visit.hpp"
#include "support/asking_client.hpp"
#include "support/pool_process.hpp"
#include "sys/sys_file.hpp"
#include "udppump/pool_status.hpp"

using namespace udppump;
using namespace std::chrono_literals;

namespace {

constexpr uid_t stranger = 64'001, member = 64'002, other_member = 64'003;
constexpr gid_t group = 64'100;

/// What `look` returns in a process of this user, who is in these groups beside a group of his own.
int as_user(uid_t user, const std::vector<gid_t>& groups, const std::function<int()>& look) {
  child_process process{[&] {
    if (::setgroups(groups.size(), groups.data()) != 0 || ::setresgid(user, user, user) != 0 ||
        ::setresuid(user, user, user) != 0) {
      return 99;
    }
    return look();
  }};
  return process.join();
}

/// 0 if it may be looked at, else an errno.
int looked_at(pid_t parent) {
  try {
    const pool_status told = pool_reader{parent}.read();
    return told.parent == parent && told.workers.size() == 2 ? 0 : 98;
  } catch (const std::system_error& refused) {
    return refused.code().value();
  }
}

/// A connection to each such socket, of which nothing is read.
std::vector<detail::descriptor> connected(std::size_t count, pid_t parent) {
  std::vector<detail::descriptor> made;
  std::ifstream lines{"/proc/self/net/unix"};
  for (std::string line; std::getline(lines, line);) {
    const auto at = line.rfind(" @");
    if (at == std::string::npos || !line.substr(at + 2).starts_with(detail::status_door_name)) continue;
    const std::string name = line.substr(at + 2);
    sockaddr_un where{};
    where.sun_family = AF_UNIX;
    std::memcpy(where.sun_path + 1, name.data(), name.size());
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
    for (std::size_t number = 0; number < count; ++number) {
      detail::descriptor one{::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)};
      if (::connect(one.fd(), reinterpret_cast<const sockaddr*>(&where), size) != 0) break;
      ucred who{};
      socklen_t room = sizeof who;
      ::getsockopt(one.fd(), SOL_SOCKET, SO_PEERCRED, &who, &room);
      if (who.pid != parent) break;
      made.push_back(std::move(one));
    }
  }
  return made;
}

/// How many of these were given something, once each was given it or hung up on.
int given_to(const std::vector<detail::descriptor>& connections) {
  int given = 0;
  for (const detail::descriptor& each : connections) {
    pollfd one{.fd = each.fd(), .events = POLLIN, .revents = 0};
    if (::poll(&one, 1, 5'000) <= 0) return -1;
    char word = 0;
    if (::recv(each.fd(), &word, 1, MSG_PEEK | MSG_DONTWAIT) == 1) ++given;
  }
  return given;
}

class status_door_of_root : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "two users require root";
  }
};

TEST(status_door, what_is_passed_can_only_be_read) {
  auto pool = pool_process::serving_with({.status_group = std::to_string(::getegid()), .workers = 2}, echo);
  static_cast<void>(pool.address());
  auto found = detail::visit_pools({}, pool.pid()).let_in;
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].parent, pool.pid());
  const int memory = found[0].memory.fd();
  EXPECT_EQ(::fcntl(memory, F_GETFL) & O_ACCMODE, O_RDONLY);
  char bytes[8];
  EXPECT_EQ(::pread(memory, bytes, sizeof bytes, 0), 8);
  EXPECT_EQ(::pwrite(memory, bytes, sizeof bytes, 0), -1);
  EXPECT_EQ(::ftruncate(memory, 0), -1);
  EXPECT_EQ(::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0), MAP_FAILED);
  struct stat about {};
  EXPECT_EQ(::fstat(memory, &about), 0);
  EXPECT_EQ(about.st_mode & 0777, 0400u);
  EXPECT_TRUE(detail::visit_pools({pool.pid()}, pool.pid()).let_in.empty()) << "it is known";
  EXPECT_EQ(pool.stop(), 0) << pool.log();
  EXPECT_TRUE(detail::visit_pools({}, pool.pid()).let_in.empty());
}

TEST(status_door, a_group_that_there_is_not_is_refused) {
  auto refused = pool_process::serving_with({.status_group = "no-such-group", .workers = 1}, echo);
  EXPECT_EQ(refused.join(), 90);
  EXPECT_TRUE(refused.has_said("no-such-group")) << refused.log();
}

TEST_F(status_door_of_root, members_look_and_others_do_not) {
  auto pool = pool_process::serving_with({.status_group = std::to_string(group), .workers = 2}, echo);
  auto closed = pool_process::serving_with({.workers = 2}, echo);
  static_cast<void>(pool.address());
  static_cast<void>(closed.address());
  EXPECT_EQ(as_user(member, {group}, [&] { return looked_at(pool.pid()); }), 0);
  EXPECT_EQ(as_user(member, {1, 2, 3, group}, [&] { return looked_at(pool.pid()); }), 0);
  EXPECT_EQ(as_user(stranger, {}, [&] { return looked_at(pool.pid()); }), EACCES);
  EXPECT_EQ(as_user(stranger, {1, 2, 3}, [&] { return looked_at(pool.pid()); }), EACCES);
  EXPECT_EQ(as_user(member, {group}, [&] { return looked_at(closed.pid()); }), EACCES);
  std::vector<gid_t> many;
  for (gid_t one = 1; one <= 2'000; ++one) many.push_back(one);
  EXPECT_EQ(as_user(stranger, many, [&] { return looked_at(pool.pid()); }), EACCES);
  many.push_back(group);
  EXPECT_EQ(as_user(member, many, [&] { return looked_at(pool.pid()); }), 0);
  EXPECT_EQ(as_user(group, {}, [&] { return looked_at(pool.pid()); }), 0) << "it is his own group";
  EXPECT_EQ(as_user(member, {group},
                    [&] {
                      int found = 0;
                      for (const pool_status& each : pool_status::all()) found += each.parent == pool.pid() ? 1 : 0;
                      return found;
                    }),
            1);
  EXPECT_EQ(pool.stop(), 0) << pool.log();
  EXPECT_EQ(closed.stop(), 0);
}

TEST_F(status_door_of_root, a_member_cannot_open_it_anew) {
  auto pool = pool_process::serving_with({.status_group = std::to_string(group), .workers = 2}, echo);
  static_cast<void>(pool.address());
  EXPECT_EQ(as_user(member, {group},
                    [&] {
                      const auto found = detail::visit_pools({}, pool.pid()).let_in;
                      if (found.size() != 1) return 1;
                      const int memory = found[0].memory.fd();
                      const std::string path = "/proc/self/fd/" + std::to_string(memory);
                      for (const int how : {O_RDONLY, O_WRONLY, O_RDWR}) {
                        if (::open(path.c_str(), how | O_CLOEXEC) >= 0 || errno != EACCES) return 2;
                      }
                      if (::fchmod(memory, 0666) == 0 || errno != EPERM) return 3;
                      if (::fchown(memory, member, group) == 0) return 4;
                      if (::fcntl(memory, F_ADD_SEALS, F_SEAL_WRITE) == 0) return 5;
                      return 0;
                    }),
            0);
  EXPECT_EQ(asking_client{pool.address()}.ask("x"), "x");
  EXPECT_EQ(pool.stop(), 0) << pool.log();
}

TEST_F(status_door_of_root, who_never_takes_it_keeps_no_other_out_and_little_on_its_way) {
  auto pool = pool_process::serving_with({.status_group = std::to_string(group), .workers = 2}, echo);
  static_cast<void>(pool.address());
  const auto others_look = [&] { return as_user(other_member, {group}, [&] { return looked_at(pool.pid()); }); };
  EXPECT_EQ(as_user(member, {group},
                    [&] {
                      auto connections = connected(40, pool.pid());
                      if (connections.size() != 40) return 1;
                      if (given_to(connections) != static_cast<int>(detail::status_door::most_of_a_user)) return 2;
                      connections.clear();
                      return looked_at(pool.pid());  // those that are gone count no more
                    }),
            0);
  shared<std::atomic<bool>> is_there, may_end;
  child_process greedy{[&] {
    if (::setgroups(1, &group) != 0 || ::setresgid(member, member, member) != 0 ||
        ::setresuid(member, member, member) != 0) {
      return 99;
    }
    const auto connections = connected(100, pool.pid());
    *is_there = given_to(connections) == static_cast<int>(detail::status_door::most_of_a_user);
    return eventually([&] { return may_end->load(); }) ? 0 : 1;
  }};
  EXPECT_TRUE(eventually([&] { return is_there->load(); }));
  EXPECT_EQ(others_look(), 0);
  EXPECT_EQ(asking_client{pool.address()}.ask("x"), "x");
  *may_end = true;
  EXPECT_EQ(greedy.join(), 0);
  EXPECT_EQ(pool.stop(), 0) << pool.log();
}

TEST_F(status_door_of_root, strangers_who_connect_without_end_get_nothing_and_stop_nobody) {
  auto pool = pool_process::serving_with({.status_group = std::to_string(group), .workers = 2}, echo);
  const asking_client client{pool.address()};
  child_process flood{[&] {
    if (::setgroups(0, nullptr) != 0 || ::setresgid(stranger, stranger, stranger) != 0 ||
        ::setresuid(stranger, stranger, stranger) != 0) {
      return 99;
    }
    for (;;) {
      const auto connections = connected(200, pool.pid());
      if (given_to(connections) > 0) return 1;
    }
  }};
  for (int asked = 0; asked < 200; ++asked) ASSERT_EQ(client.ask("x"), "x");
  // He has to wait in the same line, but goes on asking.
  int seen = 0;
  for (int look = 0; look < 8; ++look) seen += as_user(member, {group}, [&] { return looked_at(pool.pid()); }) == 0;
  EXPECT_GE(seen, 4);
  ::kill(flood.pid(), SIGKILL);
  EXPECT_NE(flood.join(), 1);
  EXPECT_EQ(pool.stop(), 0) << pool.log();
}

/// A process of a stranger that listens at so many names as a pool would, each of them with room for `line` to wait.
class pretender {
 public:
  pretender(const std::string& prefix, int names, int line)
      : process_{[&, prefix, names, line] {
          if (::setresgid(stranger, stranger, stranger) != 0 || ::setresuid(stranger, stranger, stranger) != 0) {
            return 99;
          }
          std::vector<int> open;
          for (int number = 0; number < names; ++number) {
            sockaddr_un where{};
            where.sun_family = AF_UNIX;
            const std::string name = detail::status_door_name + prefix + std::to_string(number);
            std::memcpy(where.sun_path + 1, name.data(), name.size());
            const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
            open.push_back(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
            ::bind(open.back(), reinterpret_cast<const sockaddr*>(&where), size);
            ::listen(open.back(), line);
            if (line != 0) continue;
            open.push_back(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));  // the one that it has room for
            ::connect(open.back(), reinterpret_cast<const sockaddr*>(&where), size);
          }
          *listens_ = true;
          for (;;) ::pause();
        }} {
    EXPECT_TRUE(eventually([&] { return listens_->load(); }));
  }
  ~pretender() {
    ::kill(process_.pid(), SIGKILL);
    process_.join();
  }
  pid_t pid() const { return process_.pid(); }

 private:
  shared<std::atomic<bool>> listens_;
  child_process process_;
};

/// So many processes, with so many names each.
std::vector<std::unique_ptr<pretender>> pretenders(int count, int names) {
  std::vector<std::unique_ptr<pretender>> many;
  for (int number = 0; number < count; ++number) {
    many.push_back(std::make_unique<pretender>(std::to_string(number) + '/', names, 100));
  }
  return many;
}

/// How many pools a member sees; 100: another one than that too.
int seen_by_member(pid_t pool) {
  return as_user(member, {group}, [&] {
    int found = 0;
    for (const pool_status& each : pool_status::all()) found += each.parent == pool ? 1 : 100;
    return found;
  });
}

TEST_F(status_door_of_root, nobody_else_is_taken_for_a_pool) {
  auto pool = pool_process::serving_with({.status_group = std::to_string(group), .workers = 2}, echo);
  static_cast<void>(pool.address());
  const pretender other{"", 50, 100};
  EXPECT_EQ(as_user(member, {group}, [&] { return looked_at(pool.pid()); }), 0);
  EXPECT_EQ(as_user(member, {group}, [&] { return looked_at(other.pid()); }), EACCES);
  EXPECT_EQ(seen_by_member(pool.pid()), 1) << "they keep it waiting, and say nothing";
  EXPECT_EQ(pool.stop(), 0) << pool.log();
}

TEST_F(status_door_of_root, strangers_who_listen_in_its_stead_hide_no_pool) {
  auto pool = pool_process::serving_with({.status_group = std::to_string(group), .workers = 2}, echo);
  static_cast<void>(pool.address());
  // More than are visited at once, and some that let nobody in.
  auto many = pretenders(140, 5);
  const pretender full{"full/", 100, 0};
  EXPECT_EQ(seen_by_member(pool.pid()), 1);
  EXPECT_EQ(as_user(member, {group}, [&] { return looked_at(pool.pid()); }), 0);
  const int refused = as_user(member, {group}, [&] {
    try {
      static_cast<void>(pool_reader{full.pid()});
    } catch (const std::system_error& why) {
      return std::string{why.what()}.find("too many wait at 100 status sockets, or ") != std::string::npos ? 1 : 2;
    }
    return 3;
  });
  EXPECT_EQ(refused, 1) << "it is told what may be why";
  many.clear();
  EXPECT_EQ(pool.stop(), 0) << pool.log();
}

TEST_F(status_door_of_root, who_has_no_descriptors_left_for_so_many_looks_at_some_after_the_others) {
  auto pool = pool_process::serving_with({.status_group = std::to_string(group), .workers = 2}, echo);
  static_cast<void>(pool.address());
  auto many = pretenders(100, 1);
  EXPECT_EQ(as_user(member, {group},
                    [&] {
                      const rlimit few{.rlim_cur = 40, .rlim_max = 40};
                      ::setrlimit(RLIMIT_NOFILE, &few);
                      std::size_t unheard = 99;
                      int found = 0;
                      for (const pool_reader& each : pool_reader::all(&unheard)) found += each.parent() == pool.pid();
                      return found == 1 && unheard == 0 ? 0 : 1;
                    }),
            0);
  many.clear();
  EXPECT_EQ(pool.stop(), 0) << pool.log();
}

/// The kernel gives process numbers in turn: a pool may get that of one that had a stranger's socket listen.
TEST(status_door, a_socket_of_a_process_that_has_ended_is_nobodys) {
  sockaddr_un where{};
  where.sun_family = AF_UNIX;
  const std::string name = detail::status_door_name + std::string{"!"} + std::to_string(::getpid());
  std::memcpy(where.sun_path + 1, name.data(), name.size());
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  const detail::descriptor listens{::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)};
  ASSERT_EQ(::bind(listens.fd(), reinterpret_cast<const sockaddr*>(&where), size), 0);
  child_process first{[&] { return ::listen(listens.fd(), 100); }};
  const pid_t was = first.pid();
  EXPECT_EQ(first.join(), 0);
  const detail::descriptor connection{::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)};
  ASSERT_EQ(::connect(connection.fd(), reinterpret_cast<const sockaddr*>(&where), size), 0);
  EXPECT_EQ(detail::peer::of(connection.fd()).pid, was);
  int pidfd = -1;
  if (sys::peer_pidfd(connection.fd(), pidfd) == -ENOPROTOOPT) GTEST_SKIP() << "no SO_PEERPIDFD here";
  const detail::descriptor closes{pidfd};
  EXPECT_FALSE(detail::peer_lives(connection.fd()));
}

TEST_F(status_door_of_root, a_pool_that_became_another_user_is_shown_to_members_too_and_to_nobody_when_it_was_killed) {
  auto pool = pool_process::serving_with(
      {.status_group = std::to_string(group), .workers = 2, .become = {.user = "nobody"}}, echo);
  static_cast<void>(pool.address());
  EXPECT_EQ(as_user(member, {group}, [&] { return looked_at(pool.pid()); }), 0);
  EXPECT_EQ(as_user(stranger, {}, [&] { return looked_at(pool.pid()); }), EACCES);
  const pid_t was = pool.pid();
  pool.signal(SIGKILL);
  pool.join();
  EXPECT_NE(as_user(member, {group}, [&] { return looked_at(was); }), 0);
  EXPECT_TRUE(eventually([&] { return detail::visit_pools({}, was).let_in.empty(); })) << "a worker still listens";
}

}  // namespace
