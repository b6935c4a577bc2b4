// What a worker may do to the socket that it shares with the others, so that nobody answers any more; and what the
// parent does about it.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "pool/socket_check.hpp"
#include "socket/arrival_signal.hpp"
#include "socket/interfaces.hpp"
#include "support/asking_client.hpp"
#include "support/fault.hpp"
#include "support/network.hpp"
#include "support/pool_process.hpp"
#include "support/private_folder.hpp"

#include <netinet/udp.h>

using namespace udppump;
using namespace std::chrono_literals;
using testing::HasSubstr;

namespace {

void connect_to(int fd, const address& peer) { EXPECT_EQ(::connect(fd, peer.data(), peer.size()), 0) << errno; }
void disconnect(int fd) {
  const sockaddr nobody{.sa_family = AF_UNSPEC, .sa_data = {}};
  EXPECT_EQ(::connect(fd, &nobody, sizeof nobody), 0) << errno;
}
void set(int fd, int level, int option, int value) {
  EXPECT_EQ(::setsockopt(fd, level, option, &value, sizeof value), 0) << errno;
}
/// Drops all that arrives.
void attach_filter(int fd) {
  sock_filter drop = BPF_STMT(BPF_RET | BPF_K, 0);
  const sock_fprog program{1, &drop};
  EXPECT_EQ(::setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program), 0) << errno;
}
/// IPv4's record route, as an option that every answer would have.
void set_ip_options(int fd) {
  const unsigned char record_route[] = {7, 7, 4, 0, 0, 0, 0, 0};
  EXPECT_EQ(::setsockopt(fd, IPPROTO_IP, IP_OPTIONS, record_route, sizeof record_route), 0) << errno;
}
/// From now on whatever arrives has a signal sent to the parent that nobody handles there; and something arrives.
void set_signal(int fd, int signal) {
  EXPECT_EQ(::fcntl(fd, F_SETOWN, ::getppid()), 0) << errno;
  EXPECT_EQ(::fcntl(fd, F_SETSIG, signal), 0) << errno;
  EXPECT_EQ(::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_ASYNC), 0) << errno;
  EXPECT_FALSE(bound().send_to("hello", datagram_socket::adopt(::dup(fd)).local()));
}
const address& discard() {
  static const address there = address::parse("127.0.0.1:9");
  return there;
}

struct attack {
  const char* what;
  std::function<void(int)> make;
  /// What the log tells.
  const char* told;
};

std::vector<attack> attacks() {
  return {
      {"connect", [](int fd) { connect_to(fd, discard()); }, "was connected to 127.0.0.1:9 by a worker; undone"},
      {"port 0", [](int fd) { connect_to(fd, discard().with_port(0)); }, "was connected to port 0 of some host"},
      {"lose the port", [](int fd) { connect_to(fd, discard()), disconnect(fd); },
       "was taken off its port by a worker; undone"},
      {"filter", attach_filter, "was given a filter by a worker; undone"},
      {"locked filter", [](int fd) { attach_filter(fd), set(fd, SOL_SOCKET, SO_LOCK_FILTER, 1); }, "socket-replaced: "},
      {"shut down", [](int fd) { static_cast<void>(::shutdown(fd, SHUT_RDWR)); }, "was shut down by a worker"},
      {"deaf", [](int fd) { static_cast<void>(::shutdown(fd, SHUT_RD)); }, "was shut down for receiving by a worker"},
      {"mute", [](int fd) { static_cast<void>(::shutdown(fd, SHUT_WR)); }, "was shut down for sending by a worker"},
      {"no room", [](int fd) { set(fd, SOL_SOCKET, SO_RCVBUF, 1); }, "bytes of receive buffer by a worker; undone"},
      {"device", [](int fd) { EXPECT_EQ(::setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3), 0) << errno; },
       "was bound to device lo by a worker"},
      {"cork", [](int fd) { set(fd, IPPROTO_UDP, UDP_CORK, 1); }, "was given UDP_CORK = 1 instead of 0"},
      {"options", set_ip_options, "was given IP_OPTIONS by a worker; undone"},
      {"no route", [](int fd) { set(fd, SOL_SOCKET, SO_DONTROUTE, 1); }, "was given SO_DONTROUTE = 1 instead of 0"},
      {"ttl", [](int fd) { set(fd, IPPROTO_IP, IP_TTL, 1); }, "was given IP_TTL = 1 instead of "},
      {"share", [](int fd) { set(fd, SOL_SOCKET, SO_REUSEPORT, 1); }, "was given SO_REUSEPORT = 1 instead of 0"},
      {"SIGIO", [](int fd) { set_signal(fd, 0); }, "was made to send signal 29 to process "},
      {"real-time", [](int fd) { set_signal(fd, SIGRTMIN + 3); }, "whenever something arrives (O_ASYNC) by a worker; "},
      {"last", [](int fd) { set_signal(fd, SIGRTMAX); }, "was made to send signal 64 to process "},
      {"mtu", [](int fd) { set(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE); }, "was given IP_MTU_DISCOVER = 3"},
  };
}

/// A pool of echoes, one of whose workers makes the attack that a datagram names, and then dies or serves on.
pool_process hostile_pool(bool dies) {
  return pool_process::serving_with({.workers = 2, .restart = {.first_delay = 1ms}}, [dies](datagram& received) {
    for (const attack& one : attacks()) {
      if (received.text() != one.what) continue;
      one.make(received.socket->fd());
      if (dies) ::_exit(3);
      return;
    }
    received.reply(received.payload);
  });
}

bool answers(const address& server) {
  return eventually([&] {
    const asking_client client{server};
    client.send("hello");
    return client.receive(200ms) == "hello";
  });
}

TEST(socket_check, what_a_worker_does_to_the_socket_before_it_dies_is_told_and_the_pool_answers_again) {
  for (const attack& one : attacks()) {
    auto pool = hostile_pool(true);
    const address server = pool.address();
    ASSERT_TRUE(answers(server));
    asking_client{server}.send(one.what);
    EXPECT_TRUE(pool.says(one.told)) << one.what << '\n' << pool.log();
    EXPECT_TRUE(answers(server)) << one.what << '\n' << pool.log();
    EXPECT_FALSE(pool.has_said("crash-loop")) << one.what << '\n' << pool.log();
    EXPECT_EQ(pool.stop(), 0) << one.what << '\n' << pool.log();
  }
}

TEST(socket_check, what_a_worker_does_that_serves_on_is_found_while_nobody_dies) {
  auto pool = hostile_pool(false);
  const address server = pool.address();
  asking_client{server}.send("locked filter");
  EXPECT_TRUE(pool.says("socket-replaced: ")) << pool.log();
  EXPECT_TRUE(pool.says("reloaded: ")) << pool.log();
  EXPECT_TRUE(answers(server)) << pool.log();
  EXPECT_EQ(pool.status().restarts, 0u);
  EXPECT_EQ(pool.stop(), 0) << pool.log();
}

TEST(socket_check, of_an_ipv6_socket_that_speaks_ipv4_too_both_are_answered_again) {
  if (!has_ipv6()) GTEST_SKIP() << "no IPv6 here";
  auto pool = pool_process::serving_with({.bind = {"[::]:0"}, .workers = 2, .restart = {.first_delay = 1ms}},
                                         [](datagram& received) {
                                           if (received.text() == "connect")
                                             connect_to(received.socket->fd(), address::parse("[::1]:9"));
                                           if (received.text() == "shut down")
                                             static_cast<void>(::shutdown(received.socket->fd(), SHUT_RDWR));
                                           if (received.text() != "hello") ::_exit(3);
                                           received.reply(received.payload);
                                         });
  const address v4 = pool.address();
  const address v6 = address::parse("[::1]:0").with_port(v4.port());
  for (const char* what : {"connect", "shut down"}) {
    asking_client{v4}.send(what);
    EXPECT_TRUE(pool.says(std::string{what[0] == 'c' ? "connected to [::1]:9" : "shut down"} + " by a worker"))
        << pool.log();
    EXPECT_TRUE(answers(v4)) << what << '\n' << pool.log();
    EXPECT_TRUE(answers(v6)) << what << '\n' << pool.log();
  }
  EXPECT_EQ(pool.stop(), 0) << pool.log();
}

TEST(socket_check, of_a_unix_socket_the_same_holds) {
  std::string folder = ::testing::TempDir() + "checked-XXXXXX";
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  const std::string path = folder + "/socket";
  auto pool = pool_process::serving_with({.bind = {"unix:" + path}, .workers = 2, .restart = {.first_delay = 1ms}},
                                         [&path](datagram& received) {
                                           if (received.text() == "connect")
                                             connect_to(received.socket->fd(), address::parse("unix:" + path));
                                           if (received.text() == "filter") attach_filter(received.socket->fd());
                                           if (received.text() == "shut down")
                                             static_cast<void>(::shutdown(received.socket->fd(), SHUT_RDWR));
                                           if (received.text() != "hello") ::_exit(3);
                                           received.reply(received.payload);
                                         });
  ASSERT_TRUE(pool.says("serving: ")) << pool.log();
  const auto client = bound({}, ("unix:@udppump-checked-" + std::to_string(::getpid())).c_str());
  const address server = address::parse("unix:" + path);
  const auto answers_here = [&] {
    return eventually([&] { return !client.send_to("hello", server) && received(client, 200ms) == "hello"; });
  };
  for (const char* what : {"connect", "filter", "shut down"}) {
    ASSERT_TRUE(answers_here()) << what << '\n' << pool.log();
    ASSERT_FALSE(client.send_to(what, server));
    const std::string told = *what == 'c' ? "connected to unix:" : *what == 'f' ? "given a filter" : "shut down by";
    EXPECT_TRUE(pool.says(told)) << pool.log();
    EXPECT_TRUE(answers_here()) << what << '\n' << pool.log();
  }
  EXPECT_EQ(pool.stop(), 0) << pool.log();
  std::filesystem::remove_all(folder);
}

TEST(socket_check, a_group_that_a_worker_left_is_joined_again) {
  const auto group = address::parse("239.255.7.7:0");
  const auto leave = [&group](datagram& received) {
    group_req request{};
    request.gr_interface = ::if_nametoindex("lo");
    std::memcpy(&request.gr_group, group.data(), group.size());
    EXPECT_EQ(::setsockopt(received.socket->fd(), IPPROTO_IP, MCAST_LEAVE_GROUP, &request, sizeof request), 0);
    ::_exit(3);
  };
  auto pool = pool_process::serving_with(
      {.socket = {.join = {{group, "lo"}}}, .workers = 1, .restart = {.first_delay = 1ms}}, leave);
  asking_client{pool.address()}.send("leave");
  EXPECT_TRUE(pool.says("was taken out of group 239.255.7.7 on interface \"lo\" by a worker; undone")) << pool.log();
  EXPECT_EQ(pool.stop(), 0) << pool.log();
}

// --- the parent's part alone, with a clock of the test's -------------------------------------------------------------

class watched_sockets : public testing::Test {
 protected:
  watched_sockets() { sockets.open({{"udppump", address::parse("127.0.0.1:0")}}, {}, false, {}, log); }

  using clock = detail::socket_check::clock;
  detail::socket_check make(detail::socket_state::sharers who = detail::socket_state::sharers::pumps) {
    return {sockets, who, options, log};
  }
  int fd() const { return sockets.all()[0].fd(); }
  std::size_t lines(const std::string& name) const {
    return static_cast<std::size_t>(std::count(names.begin(), names.end(), name));
  }

  std::vector<std::string> names, texts;
  std::vector<pool_event::level> levels;
  const detail::pool_log log{[this](const pool_event& event) {
    levels.push_back(event.severity);
    names.emplace_back(event.name);
    texts.push_back(event.text);
  }};
  const socket_options options{};
  detail::pool_sockets sockets{options};
  const clock::time_point now = clock::now();
};

TEST_F(watched_sockets, that_nobody_touched_are_left_alone_and_looked_at_every_five_seconds) {
  std::vector<detail::wanted_address> others;
  const std::string name = "unix:@udppump-untouched-" + std::to_string(::getpid());
  for (const char* where : available({"0.0.0.0:0", "[::1]:0", "[::]:0"}))
    others.push_back({"x", address::parse(where)});
  others.push_back({"x", address::parse(name)});
  sockets.open(std::move(others), {}, false, {}, log);
  auto check = make();
  const std::size_t open = open_descriptors();
  for (int looks = 0; looks < 100; ++looks) EXPECT_FALSE(check.look(now));
  EXPECT_EQ(texts, std::vector<std::string>{});
  EXPECT_EQ(open_descriptors(), open);
  EXPECT_EQ(check.next(), now + 5s);
  for (const datagram_socket& each : sockets.all()) EXPECT_FALSE(readable(each.fd())) << "a look sends nothing";
}

TEST_F(watched_sockets, cost_the_parent_little_at_each_look) {
  for (const auto who : {detail::socket_state::sharers::pumps, detail::socket_state::sharers::programs}) {
    auto check = make(who);
    int calls = 0;
    for (const char* call : {"getsockopt", "setsockopt", "sendmsg", "poll", "socket", "getsockname"}) {
      const fault::injection count{{.call = call, .error = EIO, .times = 0}};
      EXPECT_FALSE(check.look(now));
      calls += count.seen();
    }
    EXPECT_GT(calls, 10);  // or nothing was counted
    EXPECT_LT(calls, who == detail::socket_state::sharers::pumps ? 100 : 60);
  }
}

TEST_F(watched_sockets, are_looked_at_ten_times_a_second_though_workers_die_without_end) {
  auto check = make();
  static_cast<void>(check.look(now));
  check.look_soon(now + 1ms);
  EXPECT_EQ(check.next(), now + 100ms);
  check.look_soon(now + 300ms);
  EXPECT_EQ(check.next(), now + 100ms);
  static_cast<void>(check.look(now + 300ms));
  check.look_soon(now + 1s);
  EXPECT_EQ(check.next(), now + 1s);
}

TEST_F(watched_sockets, that_are_changed_again_and_again_are_mended_each_time_and_told_of_five_times_a_minute) {
  auto check = make();
  for (int times = 0; times < 10; ++times) {
    connect_to(fd(), discard());
    EXPECT_FALSE(check.look(now + times * 5s));
    EXPECT_TRUE(sockets.all()[0].peer().is_none());
  }
  EXPECT_EQ(lines("socket-changed"), 5u);
  connect_to(fd(), discard());
  static_cast<void>(check.look(now + 61s));
  ASSERT_EQ(texts.size(), 6u);
  EXPECT_THAT(texts[5], HasSubstr("undone; 5 changes before this one were not told"));
}

TEST_F(watched_sockets, that_are_shut_down_again_and_again_are_bound_anew_less_and_less_often) {
  auto check = make();
  const address local = sockets.all()[0].local();
  const int descriptor = fd();
  std::vector<int> replaced_at;
  for (int second = 0; second < 60; ++second) {
    static_cast<void>(::shutdown(fd(), SHUT_RDWR));
    if (check.look(now + second * 1s)) replaced_at.push_back(second);
  }
  EXPECT_EQ(replaced_at, (std::vector<int>{0, 5, 15, 35}));
  EXPECT_EQ(lines("socket-replaced"), 4u);
  EXPECT_EQ(sockets.all()[0].local(), local);
  EXPECT_EQ(fd(), descriptor);
  EXPECT_NE(::fcntl(fd(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST_F(watched_sockets, a_new_socket_takes_all_that_arrives_though_the_old_one_is_still_open_and_shares_with_nobody) {
  auto check = make();
  const detail::descriptor old{::fcntl(fd(), F_DUPFD_CLOEXEC, 3)};
  set(old.fd(), SOL_SOCKET, SO_RCVBUF, 8192);
  attach_filter(old.fd());
  set(old.fd(), SOL_SOCKET, SO_LOCK_FILTER, 1);
  ASSERT_TRUE(check.look(now));
  for (int count = 0; count < 50; ++count) {
    const auto client = datagram_socket::connect(sockets.all()[0].local());
    ASSERT_FALSE(client.send("x"));
    EXPECT_EQ(received(sockets.all()[0]), "x") << count;
  }
  // However the kernel chooses between two of one port.
  sockaddr_storage peer{};
  socklen_t size = sizeof peer;
  EXPECT_EQ(::getpeername(old.fd(), reinterpret_cast<sockaddr*>(&peer), &size), 0) << "the old one hears everybody";
  int shares = 1;
  size = sizeof shares;
  ASSERT_EQ(::getsockopt(fd(), SOL_SOCKET, SO_REUSEPORT, &shares, &size), 0);
  EXPECT_EQ(shares, 0);
  EXPECT_THROW(static_cast<void>(datagram_socket::bind(sockets.all()[0].local(), {.reuse_port = true})),
               std::system_error);
}

TEST_F(watched_sockets, where_a_new_socket_is_refused_the_cause_and_the_cure_are_told) {
  auto check = make();
  static_cast<void>(::shutdown(fd(), SHUT_RDWR));
  {
    const fault::injection refused{{.call = "bind", .error = EACCES}};
    EXPECT_FALSE(check.look(now));
  }
  ASSERT_EQ(lines("socket-lost"), 1u);
  EXPECT_THAT(texts[0], HasSubstr("was shut down by a worker, which only a new socket cures; binding one was refused"));
  EXPECT_THAT(texts[0], HasSubstr("restart the pool"));
  EXPECT_FALSE(check.look(now + 4s)) << "and not tried again at once";
  EXPECT_TRUE(check.look(now + 5s));
}

TEST_F(watched_sockets, that_cannot_be_made_as_they_were_are_told_of_once_with_the_cure) {
  auto check = make();
  set(fd(), SOL_SOCKET, SO_RCVBUF, 1);
  {
    const fault::injection refused{{.call = "setsockopt", .error = EPERM}};
    for (int looks = 0; looks < 3; ++looks) EXPECT_FALSE(check.look(now + looks * 5s));
  }
  ASSERT_EQ(texts.size(), 1u);
  EXPECT_THAT(texts[0], HasSubstr("undoing that was refused: raise net.core.rmem_max; restart the pool"));
  EXPECT_FALSE(check.look(now + 20s));
  ASSERT_EQ(texts.size(), 2u);
  EXPECT_THAT(texts[1], HasSubstr("; undone"));
}

TEST_F(watched_sockets, of_programs_their_own_options_are_theirs_but_not_to_make_others_deaf) {
  auto check = make(detail::socket_state::sharers::programs);
  set(fd(), IPPROTO_IP, IP_TOS, 8);
  set(fd(), IPPROTO_IP, IP_PKTINFO, 1);
  set(fd(), SOL_SOCKET, SO_RCVBUF, 4 << 20);
  const timeval second{1, 0};
  ASSERT_EQ(::setsockopt(fd(), SOL_SOCKET, SO_RCVTIMEO, &second, sizeof second), 0);
  EXPECT_FALSE(check.look(now));
  EXPECT_EQ(texts, std::vector<std::string>{});
  connect_to(fd(), discard());
  EXPECT_FALSE(check.look(now + 5s));
  EXPECT_EQ(lines("socket-changed"), 1u);
  set(fd(), IPPROTO_UDP, UDP_CORK, 1);
  EXPECT_FALSE(check.look(now + 70s));
  EXPECT_EQ(lines("socket-changed"), 2u);
}

int option_of(int fd, int level, int option) {
  int value = -1;
  socklen_t size = sizeof value;
  return ::getsockopt(fd, level, option, &value, &size) == 0 ? value : -errno;
}

TEST_F(watched_sockets, whose_filter_is_locked_although_there_is_none_are_replaced) {
  auto check = make();
  set(fd(), SOL_SOCKET, SO_LOCK_FILTER, 1);
  EXPECT_TRUE(check.look(now));
  EXPECT_THAT(texts.at(0), HasSubstr("was locked, so that a filter cannot be changed (SO_LOCK_FILTER) by a worker"));
  EXPECT_EQ(option_of(fd(), SOL_SOCKET, SO_LOCK_FILTER), 0);
}

TEST_F(watched_sockets, share_their_port_with_nobody_for_long_whoever_the_workers_are) {
  for (const auto who : {detail::socket_state::sharers::pumps, detail::socket_state::sharers::programs}) {
    auto check = make(who);
    for (const int option : {SO_REUSEPORT, SO_REUSEADDR}) {
      set(fd(), SOL_SOCKET, option, 1);
      EXPECT_FALSE(check.look(now));
      EXPECT_EQ(option_of(fd(), SOL_SOCKET, option), 0);
    }
    const detail::descriptor old{::fcntl(fd(), F_DUPFD_CLOEXEC, 3)};
    static_cast<void>(::shutdown(fd(), SHUT_RDWR));
    EXPECT_TRUE(check.look(now));
    EXPECT_EQ(option_of(fd(), SOL_SOCKET, SO_REUSEPORT), 0) << "which the new one needed for a moment";
    EXPECT_FALSE(check.look(now));
    const fault::injection refused{{.call = "socket", .error = EAFNOSUPPORT}};  // the list of /proc tells less
    EXPECT_FALSE(check.look(now));
    EXPECT_EQ(lines("socket-shared"), 0u) << "the old one is the pool's own";
  }
}

TEST_F(watched_sockets, that_programs_set_so_reuseaddr_on_as_nodes_dgram_does_are_told_of_once) {
  auto check = make(detail::socket_state::sharers::programs);
  for (int start = 0; start < 3; ++start) {
    set(fd(), SOL_SOCKET, SO_REUSEADDR, 1);
    EXPECT_FALSE(check.look(now + start * 10min));
    EXPECT_EQ(option_of(fd(), SOL_SOCKET, SO_REUSEADDR), 0) << "it is undone each time";
  }
  ASSERT_EQ(lines("socket-changed"), 1u);
  EXPECT_EQ(levels.back(), pool_event::level::notice);
  EXPECT_THAT(texts.back(), testing::AllOf(HasSubstr("given SO_REUSEADDR = 1 instead of 0 by a worker; undone"),
                                           HasSubstr("Node's dgram"), HasSubstr("nothing needs to be done")));
  set(fd(), SOL_SOCKET, SO_REUSEPORT, 1);
  EXPECT_FALSE(check.look(now));
  EXPECT_EQ(levels.back(), pool_event::level::warning) << "what nobody does by habit";
  auto of_pumps = make();
  set(fd(), SOL_SOCKET, SO_REUSEADDR, 1);
  EXPECT_FALSE(of_pumps.look(now));
  EXPECT_EQ(levels.back(), pool_event::level::warning) << "nor workers with pumps";
  EXPECT_EQ(lines("socket-changed"), 3u);
}

/// Bound where a socket of the pool is, which is open to others for a moment.
datagram_socket beside(const datagram_socket& pools, const address& there, socket_options options = {}) {
  options.reuse_port = true;
  set(pools.fd(), SOL_SOCKET, SO_REUSEPORT, 1);
  auto made = datagram_socket::bind(there.with_port(pools.local().port()), options);
  set(pools.fd(), SOL_SOCKET, SO_REUSEPORT, 0);  // so that only the other one shows it
  return made;
}

TEST_F(watched_sockets, of_both_families_beside_which_somebody_has_bound_one_of_ipv4_tell_of_him) {
  if (!has_ipv6()) GTEST_SKIP() << "no IPv6 here";
  sockets.open({{"both", address::parse("[::]:0")}}, {}, false, {}, log);
  auto check = make();
  const auto other = beside(sockets.all().back(), address::parse("0.0.0.0:0"));
  EXPECT_FALSE(check.look(now));
  EXPECT_EQ(lines("socket-shared"), 1u);
}

TEST_F(watched_sockets, beside_which_somebody_has_bound_another_are_told_of_once_with_its_process) {
  auto check = make();
  const auto other = beside(sockets.all()[0], sockets.all()[0].local());
  for (int looks = 0; looks < 3; ++looks) EXPECT_FALSE(check.look(now + looks * 5s));
  ASSERT_EQ(lines("socket-shared"), 1u);
  EXPECT_THAT(texts.at(0), HasSubstr("(pid " + std::to_string(::getpid()) + ")\" of user " +
                                     std::to_string(::geteuid()) + " (inode "));
  EXPECT_THAT(texts.at(0), HasSubstr("is bound there as well"));
  const auto elsewhere = bound();  // of no interest
  EXPECT_FALSE(check.look(now + 20s));
  EXPECT_EQ(texts.size(), 1u);
}

TEST_F(watched_sockets, of_ipv4_beside_which_somebody_has_bound_one_of_both_families_tell_of_him) {
  if (!has_ipv6()) GTEST_SKIP() << "no IPv6 here";
  auto check = make();
  const address all_of_ipv6 = address::parse("[::]:0");
  const auto apart = beside(sockets.all()[0], all_of_ipv6, {.v6only = setting::on});
  EXPECT_FALSE(check.look(now));
  EXPECT_EQ(lines("socket-shared"), 0u) << texts.at(0);
  const auto both = beside(sockets.all()[0], all_of_ipv6, {.v6only = setting::off});
  EXPECT_FALSE(check.look(now));
  ASSERT_EQ(lines("socket-shared"), 1u);
  EXPECT_THAT(texts.at(0), HasSubstr(") is bound there as well"));
  EXPECT_THAT(texts.at(0), Not(HasSubstr("unless")));
}

TEST_F(watched_sockets, tell_of_whom_proc_shows_where_the_kernel_lists_no_sockets_and_ask_once_a_look_for_all) {
  sockets.open({{"x", address::parse("127.0.0.1:0")}, {"x", address::parse("127.0.0.1:0")}}, {}, false, {}, log);
  auto check = make();
  const auto same = beside(sockets.all()[0], sockets.all()[0].local());
  const fault::injection refused{{.call = "socket", .error = EAFNOSUPPORT}};
  EXPECT_FALSE(check.look(now));
  EXPECT_EQ(lines("socket-shared"), 1u);
  EXPECT_EQ(refused.hits(), 1);
}

TEST_F(watched_sockets, beside_which_one_of_ipv6_is_that_may_be_for_it_alone_say_so) {
  if (!has_ipv6()) GTEST_SKIP() << "no IPv6 here";
  const auto both = beside(sockets.all()[0], address::parse("[::]:0"), {.v6only = setting::off});
  for (const char* call : {"socket", "recvmsg"}) {
    const fault::injection refused{{.call = call, .error = EACCES}};
    auto again = make();
    EXPECT_FALSE(again.look(now)) << call;
    ASSERT_EQ(lines("socket-shared"), 1u) << call;
    EXPECT_THAT(texts.at(0), HasSubstr(", unless it is for IPv6 only, is bound there as well")) << call;
    names.clear(), texts.clear();
  }
}

TEST_F(watched_sockets, beside_which_there_are_many_name_some_and_count_the_others_however_many_come) {
  auto check = make();
  const address there = sockets.all()[0].local();
  std::vector<datagram_socket> others;
  const auto add = [&](int count) {
    for (int more = 0; more < count; ++more) others.push_back(beside(sockets.all()[0], there));
  };
  const auto inode = [](const datagram_socket& of) {
    struct stat about {};
    EXPECT_EQ(::fstat(of.fd(), &about), 0);
    return "(inode " + std::to_string(about.st_ino) + ")";
  };
  add(20);
  EXPECT_FALSE(check.look(now));
  ASSERT_EQ(texts.size(), 1u);
  EXPECT_THAT(texts[0], HasSubstr(" and 16 others are bound there as well"));
  add(1);
  EXPECT_FALSE(check.look(now + 5s));
  ASSERT_EQ(texts.size(), 2u);
  EXPECT_THAT(texts[1], HasSubstr(inode(others.back()) + " is bound there as well"));
  others.clear();
  EXPECT_FALSE(check.look(now + 10s));
  EXPECT_EQ(texts.size(), 2u);
  // One after the other: told five times a minute, and who came meanwhile is told then.
  for (int looks = 0; looks < 8; ++looks) {
    add(1);
    EXPECT_FALSE(check.look(now + 11s + looks * 5s));
  }
  EXPECT_EQ(texts.size(), 5u);
  EXPECT_FALSE(check.look(now + 60s));
  ASSERT_EQ(texts.size(), 6u);
  EXPECT_THAT(texts[5], HasSubstr(" and 1 other are bound there as well"));
  EXPECT_FALSE(check.look(now + 130s));
  EXPECT_EQ(texts.size(), 6u);
}

TEST_F(watched_sockets, whose_changes_are_told_no_more_tell_of_who_is_beside_them_all_the_same) {
  auto check = make();
  for (int times = 0; times < 10; ++times) {
    connect_to(fd(), discard());
    EXPECT_FALSE(check.look(now + times * 1s));
  }
  EXPECT_EQ(lines("socket-changed"), 5u);
  const auto other = beside(sockets.all()[0], sockets.all()[0].local());
  EXPECT_FALSE(check.look(now + 11s));
  EXPECT_EQ(lines("socket-shared"), 1u);
}

TEST_F(watched_sockets, that_are_bound_to_a_device_tell_of_who_is_beside_them_and_not_of_another_device) {
  const socket_options on_lo{.device = "lo"};
  detail::pool_sockets bound_to_lo{on_lo};
  bound_to_lo.open({{"x", address::parse("127.0.0.1:0")}}, {}, false, {}, log);
  detail::socket_check check{bound_to_lo, detail::socket_state::sharers::pumps, on_lo, log};
  const datagram_socket& own = bound_to_lo.all()[0];
  const auto gone = beside(own, own.local());
  ASSERT_EQ(::setsockopt(gone.fd(), SOL_SOCKET, SO_BINDTOIFINDEX, &detail::no_such_device, sizeof(int)), 0) << errno;
  EXPECT_FALSE(check.look(now));
  EXPECT_EQ(lines("socket-shared"), 0u);
  const auto everywhere = beside(own, own.local());
  EXPECT_FALSE(check.look(now));
  EXPECT_EQ(lines("socket-shared"), 1u);
}

/// As a pool of programs has it, on an interface of this test's own.
class sockets_on_an_interface : public watched_sockets {
 protected:
  void SetUp() override {
    try {
      laid = std::make_unique<wire>();
    } catch (const std::system_error& refused) {
      GTEST_SKIP() << refused.what();
    }
  }
  void open(const socket_options& chosen) {
    on.emplace(chosen);
    on->open({{"x", address::parse("0.0.0.0:0")}}, {}, false, {}, log);
  }
  /// A line for each look.
  std::vector<std::string> told_now() { return std::exchange(texts, {}); }
  bool arrives(const std::string& to) {
    const datagram_socket& own = on->all()[0];
    return eventually([&] {  // an interface that is up may still take a while until it carries
      laid->there.inside([&] {
        static_cast<void>(bound({}, "0.0.0.0:0")
                              .send_to("x", address::parse(to).with_port(own.local().port()),
                                       {.source = {.interface_index = ::if_nametoindex("far")}}));
      });
      return readable(own.fd());
    });
  }

  std::unique_ptr<wire> laid;
  std::optional<detail::pool_sockets> on;
};

TEST_F(sockets_on_an_interface, that_is_deleted_and_made_again_are_bound_to_it_anew_and_no_worker_is_blamed) {
  laid->here.inside([&] {
    const socket_options near{.device = "near"};
    open(near);
    detail::socket_check check{*on, detail::socket_state::sharers::programs, near, log};
    for (int times = 0; times < 2; ++times) {
      laid->cut();
      EXPECT_FALSE(check.look(now));
      EXPECT_FALSE(check.look(now));
      EXPECT_THAT(told_now(), testing::ElementsAre(testing::AllOf(HasSubstr("\"near\" was deleted"),
                                                                  testing::Not(HasSubstr("by a worker")))));
      laid->lay();
      EXPECT_FALSE(check.look(now));
      EXPECT_FALSE(check.look(now));
      EXPECT_THAT(told_now(), testing::ElementsAre(HasSubstr("made again: the socket is bound to the new one")));
      EXPECT_EQ(detail::device_index(on->all()[0].fd()), ::if_nametoindex("near"));
    }
    EXPECT_TRUE(arrives("10.9.0.1:0"));
    EXPECT_EQ(std::count(names.begin(), names.end(), "interface"), 4);
    // A worker's doing is told as ever.
    ASSERT_EQ(::setsockopt(on->all()[0].fd(), SOL_SOCKET, SO_BINDTODEVICE, "lo", 3), 0) << errno;
    EXPECT_FALSE(check.look(now));
    EXPECT_THAT(told_now(), testing::ElementsAre(HasSubstr("was bound to device lo by a worker; undone")));
    ASSERT_EQ(::setsockopt(on->all()[0].fd(), SOL_SOCKET, SO_BINDTOIFINDEX, &detail::no_such_device, sizeof(int)), 0);
    EXPECT_FALSE(check.look(now));
    EXPECT_THAT(told_now(), testing::ElementsAre(HasSubstr("was taken off device near by a worker; undone")));
  });
}

TEST_F(sockets_on_an_interface, that_may_not_be_bound_anew_are_replaced) {
  laid->here.inside([&] {
    const socket_options near{.device = "near", .join = {{address::parse("239.9.9.9:0"), "near"}}};
    open(near);
    detail::socket_check check{*on, detail::socket_state::sharers::programs, near, log};
    give_up_net_raw();
    laid->cut(), laid->lay();
    EXPECT_TRUE(check.look(now)) << "workers are to have the new one";
    EXPECT_EQ(lines("socket-replaced"), 1u);
    EXPECT_EQ(lines("socket-changed"), 0u);
    EXPECT_THAT(texts, testing::Contains(testing::AllOf(HasSubstr("\"near\", which was deleted and made again"),
                                                        HasSubstr("CAP_NET_RAW"), HasSubstr("one was bound"))));
    told_now();
    EXPECT_FALSE(check.look(now + 1h));
    EXPECT_EQ(told_now(), std::vector<std::string>{});
    EXPECT_TRUE(arrives("10.9.0.1:0"));
  });
}

TEST_F(sockets_on_an_interface, in_a_group_there_join_it_again_and_no_worker_is_blamed) {
  ASSERT_TRUE(laid->here.run("ip route add 239.0.0.0/8 dev near"));
  laid->here.inside([&] {
    for (const char* interface : {"near", ""}) {
      const socket_options grouped{.join = {{address::parse("239.9.9.9:0"), interface}}};
      open(grouped);
      const detail::pool_log fresh{[this](const pool_event& event) {  // a log has a limit for lines of a kind
        names.emplace_back(event.name);
        texts.push_back(event.text);
      }};
      detail::socket_check check{*on, detail::socket_state::sharers::programs, grouped, fresh};
      const std::string group = *interface != 0 ? "group 239.9.9.9 on interface \"near\": " : "group 239.9.9.9: ";
      for (int times = 0; times < 25; ++times) {  // a socket has room for 20 memberships (igmp_max_memberships)
        laid->cut();
        EXPECT_FALSE(check.look(now + times * 1min));
        EXPECT_FALSE(check.look(now + times * 1min));
        EXPECT_THAT(told_now(), testing::ElementsAre(testing::AllOf(HasSubstr(group), HasSubstr("membership"))));
        laid->lay();
        ASSERT_TRUE(laid->here.run("ip route add 239.0.0.0/8 dev near"));
        EXPECT_FALSE(check.look(now + times * 1min));
        EXPECT_FALSE(check.look(now + times * 1min));
        EXPECT_THAT(told_now(), testing::ElementsAre(testing::AllOf(HasSubstr(group), HasSubstr("joined again"))));
      }
      EXPECT_TRUE(arrives("239.9.9.9:0"));
      EXPECT_EQ(lines("socket-changed"), 0u);
    }
  });
}

TEST_F(sockets_on_an_interface, that_pumps_serve_are_mended_where_a_pump_may_not_and_told_then_alone) {
  laid->here.inside([&] {
    const socket_options near{.device = "near"};
    open(near);
    detail::socket_check check{*on, detail::socket_state::sharers::pumps, near, log};
    laid->cut();
    EXPECT_FALSE(check.look(now));
    EXPECT_EQ(told_now(), std::vector<std::string>{}) << "pumps tell that";
    laid->lay();
    EXPECT_FALSE(check.look(now));
    EXPECT_THAT(told_now(), testing::ElementsAre(HasSubstr("the socket is bound to the new one")));
    laid->cut(), laid->lay();
    ASSERT_EQ(::setsockopt(on->all()[0].fd(), SOL_SOCKET, SO_BINDTODEVICE, "near", 5), 0) << errno;  // as a pump does
    EXPECT_FALSE(check.look(now));
    EXPECT_EQ(told_now(), std::vector<std::string>{});
  });
}

TEST_F(watched_sockets, that_were_replaced_give_nothing_to_who_has_the_old_one_and_dissolves_its_connection) {
  auto check = make();
  const detail::descriptor old{::fcntl(fd(), F_DUPFD_CLOEXEC, 3)};
  set(old.fd(), SOL_SOCKET, SO_LOCK_FILTER, 1);
  ASSERT_TRUE(check.look(now));
  disconnect(old.fd());
  const address& local = sockets.all()[0].local();
  static_cast<void>(::bind(old.fd(), local.data(), local.size()));
  for (int count = 0; count < 50; ++count) {
    const auto client = datagram_socket::connect(local);
    ASSERT_FALSE(client.send("x"));
    EXPECT_EQ(received(sockets.all()[0]), "x") << count;
  }
}

TEST_F(watched_sockets, whose_errors_are_filled_with_what_was_sent_do_not_wake_pumps_without_end) {
  auto check = make();
  set(fd(), SOL_SOCKET, SO_TIMESTAMPING, 1 << 1 | 1 << 4);  // SOF_TIMESTAMPING_TX_SOFTWARE, _SOFTWARE
  const auto client = bound();
  ASSERT_FALSE(sockets.all()[0].send_to("x", client.local()));
  const auto has_error = [this] {
    pollfd one{.fd = fd(), .events = 0, .revents = 0};
    return ::poll(&one, 1, 0) == 1 && (one.revents & POLLERR) != 0;
  };
  ASSERT_TRUE(eventually(has_error));
  EXPECT_FALSE(check.look(now));
  EXPECT_FALSE(has_error());
}

TEST_F(watched_sockets, of_ipv6_are_sent_on_their_way_by_no_worker) {
  if (!has_ipv6()) GTEST_SKIP() << "no IPv6 here";
  sockets.open({{"x", address::parse("[::1]:0")}}, {}, false, {}, log);
  auto check = make(detail::socket_state::sharers::programs);
  const datagram_socket& server = sockets.all()[1];
  const auto client = bound({}, "[::1]:0");
  in6_pktinfo nowhere{};
  nowhere.ipi6_ifindex = INT32_MAX;  // no such interface
  ASSERT_EQ(::setsockopt(server.fd(), IPPROTO_IPV6, IPV6_PKTINFO, &nowhere, sizeof nowhere), 0);
  ASSERT_TRUE(server.send_to("x", client.local())) << "the attack works";
  // A routing header of type 2 (RFC 6275), which everybody may set.
  struct {
    unsigned char next = 0, size = 2, type = 2, left = 1, zero[4] = {};
    in6_addr home = in6addr_loopback;
  } route;
  const bool is_routed = ::setsockopt(server.fd(), IPPROTO_IPV6, IPV6_RTHDR, &route, sizeof route) == 0;
  EXPECT_FALSE(check.look(now));
  EXPECT_FALSE(server.send_to("x", client.local()));
  EXPECT_EQ(received(client), "x");
  EXPECT_EQ(texts, is_routed ? std::vector{"socket " + server.local().to_string() +
                                           " was given IPV6_RTHDR by a worker; undone"}
                             : std::vector<std::string>{});
}

TEST_F(watched_sockets, of_ipv6_that_were_turned_into_ipv4_or_away_from_it_are_replaced) {
  if (!has_ipv6()) GTEST_SKIP() << "no IPv6 here";
  sockets.open({{"x", address::parse("[::]:0")}}, {}, false, {}, log);
  auto check = make();
  const datagram_socket& server = sockets.all()[1];
  const address local = server.local();
  const auto both_are_answered = [&] {
    for (const char* host : {"127.0.0.1:0", "[::1]:0"}) {
      const auto client = datagram_socket::connect(address::parse(host).with_port(local.port()));
      EXPECT_FALSE(client.send("x")) << host;
      EXPECT_EQ(received(server), "x") << host;
    }
  };
  both_are_answered();
  connect_to(server.fd(), address::parse("[::ffff:127.0.0.1]:9"));
  set(server.fd(), IPPROTO_IPV6, IPV6_ADDRFORM, AF_INET);
  EXPECT_TRUE(check.look(now));
  EXPECT_THAT(texts.at(0), HasSubstr("was turned into an IPv4 socket (IPV6_ADDRFORM) by a worker"));
  both_are_answered();

  sockets.open({{"x", address::parse("[::]:0")}}, {}, false, {}, log);
  auto other = make();
  const datagram_socket& second = sockets.all()[2];
  const address there = second.local();
  connect_to(second.fd(), address::parse("[::1]:9"));
  disconnect(second.fd());
  set(second.fd(), IPPROTO_IPV6, IPV6_V6ONLY, 1);
  ASSERT_EQ(::bind(second.fd(), there.data(), there.size()), 0) << errno;
  EXPECT_TRUE(other.look(now + 400s));
  EXPECT_EQ(option_of(second.fd(), IPPROTO_IPV6, IPV6_V6ONLY), 0);
  EXPECT_EQ(second.local(), there);
}

TEST(socket_check, a_unix_socket_whose_path_a_worker_took_is_bound_there_again) {
  const private_folder folder;
  const std::string path = folder / "socket";
  std::vector<std::string> texts;
  const detail::pool_log log{[&texts](const pool_event& event) { texts.push_back(event.text); }};
  const socket_options options;
  detail::pool_sockets sockets{options};
  const address where = address::parse("unix:" + path);
  sockets.open({{"udppump", where}}, {}, false, {}, log);
  detail::socket_check check{sockets, detail::socket_state::sharers::programs, options, log};
  auto now = detail::socket_check::clock::now();
  const auto client = bound({}, ("unix:@udppump-path-" + std::to_string(::getpid())).c_str());
  const auto expect_replaced = [&](const char* how) {
    EXPECT_TRUE(check.look(now)) << how;
    ASSERT_EQ(texts.size(), 1u) << how;
    EXPECT_THAT(texts[0], HasSubstr(how));
    EXPECT_THAT(texts[0], HasSubstr("one was bound"));
    texts.clear();
    EXPECT_FALSE(client.send_to("x", where)) << how;
    EXPECT_EQ(received(sockets.all()[0]), "x") << how;
    EXPECT_FALSE(check.look(now += 400s)) << "once";
    EXPECT_TRUE(texts.empty());
  };
  EXPECT_FALSE(check.look(now));
  ASSERT_EQ(::unlink(path.c_str()), 0);
  expect_replaced("was parted from its path, which is gone, by a worker");
  ASSERT_EQ(::unlink(path.c_str()), 0);
  const auto thief = datagram_socket::bind(where);
  expect_replaced("was parted from its path, where something else is now, by a worker");
  EXPECT_FALSE(readable(thief.fd()));
}

class watched_group : public testing::TestWithParam<std::string> {};

TEST_P(watched_group, hears_all_senders_again_that_a_worker_shut_out) {
  std::vector<std::string> texts;
  const detail::pool_log log{[&texts](const pool_event& event) { texts.push_back(event.text); }};
  const address group = address::parse("239.255.7.8:0");
  const socket_options options{.join = {{group, GetParam()}}};
  detail::pool_sockets sockets{options};
  sockets.open({{"udppump", address::parse("0.0.0.0:0")}}, {}, false, {}, log);
  detail::socket_check check{sockets, detail::socket_state::sharers::programs, options, log};
  group_source_req shut_out{};
  shut_out.gsr_interface = GetParam().empty() ? 0 : ::if_nametoindex(GetParam().c_str());
  const address sender = address::parse("127.0.0.1:0");
  std::memcpy(&shut_out.gsr_group, group.data(), group.size());
  std::memcpy(&shut_out.gsr_source, sender.data(), sender.size());
  const int fd = sockets.all()[0].fd();
  ASSERT_EQ(::setsockopt(fd, IPPROTO_IP, MCAST_BLOCK_SOURCE, &shut_out, sizeof shut_out), 0) << errno;
  EXPECT_FALSE(check.look(detail::socket_check::clock::now()));
  ASSERT_EQ(texts.size(), 1u);
  EXPECT_THAT(
      texts[0],
      HasSubstr("was closed to senders of group 239.255.7.8 on interface \"lo\" (MCAST_BLOCK_SOURCE) by a worker"));
  EXPECT_EQ(::setsockopt(fd, IPPROTO_IP, MCAST_UNBLOCK_SOURCE, &shut_out, sizeof shut_out), -1) << "it is gone";
  EXPECT_FALSE(check.look(detail::socket_check::clock::now()));
  EXPECT_EQ(texts.size(), 1u);
}
INSTANTIATE_TEST_SUITE_P(on, watched_group, testing::Values("lo"));

TEST_F(watched_sockets, that_signal_somebody_signal_nobody_any_more_unless_they_are_a_programs_own) {
  const auto arm = [&](const f_owner_ex& owner, int signal) {
    ASSERT_EQ(::fcntl(fd(), F_SETOWN_EX, &owner), 0) << errno;
    ASSERT_EQ(::fcntl(fd(), F_SETSIG, signal), 0) << errno;
    ASSERT_EQ(::fcntl(fd(), F_SETFL, O_ASYNC), 0) << errno;
  };
  const auto expect_none = [&](const char* whose) {
    const auto left = detail::arrival_signal_of(fd());
    EXPECT_FALSE(left.is_sent) << whose;
    EXPECT_FALSE(left.is_prepared()) << whose;
  };
  // A child in a session of its own, as programs are.
  int waits[2];
  ASSERT_EQ(::pipe(waits), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    char ignored;
    ::close(waits[1]);
    ::setsid();
    static_cast<void>(!::read(waits[0], &ignored, 1));
    ::_exit(0);
  }
  ASSERT_TRUE(eventually([&] { return ::getsid(child) == child; }));
  const std::vector<pid_t> sessions{child};
  for (const auto who : {detail::socket_state::sharers::pumps, detail::socket_state::sharers::programs}) {
    auto check = make(who);
    const bool programs = who == detail::socket_state::sharers::programs;
    const auto is_left = [&](const f_owner_ex& owner, int signal) {
      arm(owner, signal);
      EXPECT_FALSE(check.look(now, sessions));
      const bool left = detail::arrival_signal_of(fd()).is_sent;
      if (!left) expect_none("with a receiver");
      return left;
    };
    EXPECT_FALSE(is_left({F_OWNER_PID, ::getpid()}, SIGKILL));
    EXPECT_FALSE(is_left({F_OWNER_TID, ::gettid()}, SIGIO));
    EXPECT_FALSE(is_left({F_OWNER_PGRP, ::getpgrp()}, SIGIO));
    EXPECT_FALSE(is_left({F_OWNER_PID, 0}, SIGIO));
    EXPECT_FALSE(is_left({F_OWNER_PGRP, child}, SIGIO)) << "a group";
    EXPECT_FALSE(is_left({F_OWNER_PID, child}, SIGSTOP)) << "which nobody sends to himself";
    EXPECT_EQ(is_left({F_OWNER_PID, child}, SIGIO), programs);
    EXPECT_EQ(is_left({F_OWNER_PID, child}, SIGRTMIN), programs);
    EXPECT_EQ(lines("socket-changed"), 5u) << "and no more than five a minute";
    check.be_as_at_first(now);
    if (programs) expect_none("when no program lives");
    ASSERT_EQ(::fcntl(fd(), F_SETSIG, SIGTERM), 0);
    EXPECT_FALSE(check.look(now, sessions));
    expect_none("that was only prepared");
    names.clear(), texts.clear();
  }
  arm({F_OWNER_PID, ::getpid()}, 9);
  auto check = make();
  expect_none("found at the start");
  EXPECT_EQ(lines("socket-changed"), 1u);
  ::close(waits[0]), ::close(waits[1]);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
}

TEST_F(watched_sockets, of_programs_tell_once_of_options_that_others_are_harmed_by) {
  auto check = make(detail::socket_state::sharers::programs);
  set(fd(), IPPROTO_UDP, UDP_SEGMENT, 1);
  set(fd(), IPPROTO_IP, IP_PKTINFO, 1);  // harms nobody
  for (int looks = 0; looks < 3; ++looks) EXPECT_FALSE(check.look(now));
  EXPECT_EQ(names, std::vector<std::string>{"socket-as-left"});
  EXPECT_THAT(texts.at(0), HasSubstr("has UDP_SEGMENT = 1 instead of 0, which a program set for all that share it"));
  EXPECT_EQ(option_of(fd(), IPPROTO_UDP, UDP_SEGMENT), 1);
}

TEST_F(watched_sockets, of_programs_of_which_none_lives_are_as_at_first) {
  const int flags = ::fcntl(fd(), F_GETFL);
  for (const auto who : {detail::socket_state::sharers::programs, detail::socket_state::sharers::pumps}) {
    const bool programs = who == detail::socket_state::sharers::programs;
    auto check = make(who);
    const timeval second{1, 0};
    timeval found{};
    socklen_t size = sizeof found;
    set(fd(), IPPROTO_UDP, UDP_SEGMENT, 1);
    ASSERT_EQ(::setsockopt(fd(), SOL_SOCKET, SO_RCVTIMEO, &second, sizeof second), 0);
    ASSERT_EQ(::fcntl(fd(), F_SETFL, flags | O_NONBLOCK), 0);
    if (programs) {
      EXPECT_FALSE(check.look(now));
    }
    EXPECT_EQ(::fcntl(fd(), F_GETFL), flags | O_NONBLOCK) << "others may live by it";
    check.be_as_at_first(now);
    EXPECT_EQ(option_of(fd(), IPPROTO_UDP, UDP_SEGMENT), programs ? 0 : 1);
    EXPECT_EQ(::fcntl(fd(), F_GETFL), programs ? flags : flags | O_NONBLOCK);
    ASSERT_EQ(::getsockopt(fd(), SOL_SOCKET, SO_RCVTIMEO, &found, &size), 0);
    EXPECT_EQ(found.tv_sec, programs ? 0 : 1);
  }
}

// --- every flag and command that an open file has --------------------------------------------------------------------

/// What fcntl(2) and ioctl(2) may set in an open file for all who have it, and sockets refuse. Should a kernel allow
/// one of them, it has to be looked at.
struct refused_command {
  const char* name;
  std::function<int(int)> set;
};
std::vector<refused_command> refused_by_sockets() {
  return {{"O_DIRECT", [](int fd) { return ::fcntl(fd, F_SETFL, O_DIRECT); }},
          {"F_SETLEASE", [](int fd) { return ::fcntl(fd, F_SETLEASE, F_RDLCK); }},
          {"F_NOTIFY", [](int fd) { return ::fcntl(fd, F_NOTIFY, DN_MODIFY | DN_MULTISHOT); }},
          {"F_SETPIPE_SZ", [](int fd) { return ::fcntl(fd, F_SETPIPE_SZ, 4096); }},
          {"F_ADD_SEALS", [](int fd) { return ::fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE); }},
          {"lseek", [](int fd) { return static_cast<int>(::lseek(fd, 1, SEEK_SET)); }},
          {"ftruncate", [](int fd) { return ::ftruncate(fd, 0); }},
          {"listen", [](int fd) { return ::listen(fd, 1); }},
          {"SO_ATTACH_REUSEPORT_CBPF", [](int fd) {
             sock_filter none = BPF_STMT(BPF_RET | BPF_K, 0);
             const sock_fprog program{1, &none};
             return ::setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof program);
           }}};
}

TEST_F(watched_sockets, are_open_files_of_which_a_worker_can_spoil_nothing_for_good) {
  auto check = make();
  auto time = now;
  const int before = ::fcntl(fd(), F_GETFL);
  for (const auto& [name, set_it] : refused_by_sockets()) EXPECT_EQ(set_it(fd()), -1) << name;
  // No pump waits in a call; sockets have no place to append to; and nobody notes when a socket was read (O_NOATIME).
  constexpr int harmless = O_NONBLOCK | O_APPEND | O_NOATIME;
  for (int bit = 0; bit < 31; ++bit) {
    if (::fcntl(fd(), F_SETFL, before | 1 << bit) != 0) continue;
    EXPECT_FALSE(check.look(time += 400s));
    EXPECT_EQ(::fcntl(fd(), F_GETFL) & ~harmless, before & ~harmless) << "flag " << bit;
    ASSERT_EQ(::fcntl(fd(), F_SETFL, before), 0);
  }
  int on = 1, self = ::getpid();
  for (const unsigned long command : {FIOSETOWN, SIOCSPGRP}) {
    ASSERT_EQ(::ioctl(fd(), command, &self), 0) << command;
    ASSERT_EQ(::fcntl(fd(), F_SETSIG, 0), 0);  // SIGIO
    ASSERT_EQ(::ioctl(fd(), FIOASYNC, &on), 0);
    EXPECT_FALSE(check.look(time += 400s));
    EXPECT_FALSE(detail::arrival_signal_of(fd()).is_sent);
    EXPECT_FALSE(detail::arrival_signal_of(fd()).is_prepared());
  }
  ASSERT_EQ(::ioctl(fd(), FIONBIO, &on), 0);
  static_cast<void>(::flock(fd(), LOCK_EX | LOCK_NB));  // which nobody asks for
  EXPECT_FALSE(check.look(time += 400s));
  const auto client = bound();
  ASSERT_FALSE(client.send_to("x", sockets.all()[0].local()));
  EXPECT_EQ(received(sockets.all()[0]), "x");
}

// --- every option that the kernel has --------------------------------------------------------------------------------

/// Options that are left as a worker set them, and why that harms nobody. Linux 6.18 has no others that a datagram
/// socket takes and shows.
struct harmless {
  int level, option;
  const char* why;
};
constexpr harmless all_harmless[] = {
    {SOL_SOCKET, 1, "SO_DEBUG writes to the kernel's log where it was built so, and requires CAP_NET_ADMIN"},
    {SOL_SOCKET, 4, "SO_ERROR is what happened last"},
    {SOL_SOCKET, SO_SNDBUF, "a larger buffer"},
    {SOL_SOCKET, SO_RCVBUF, "a larger buffer"},
    {SOL_SOCKET, SO_KEEPALIVE, "of TCP"},
    {SOL_SOCKET, SO_OOBINLINE, "of TCP"},
    {SOL_SOCKET, SO_LINGER, "of TCP: close(2) of a datagram socket does not wait"},
    {SOL_SOCKET, SO_RCVTIMEO, "no pump waits in a receive"},
    {SOL_SOCKET, SO_SNDTIMEO, "no pump waits in a send"},
    {SOL_SOCKET, 43, "SO_NOFCS: of packet sockets"},
    {SOL_SOCKET, 66, "SO_RCVTIMEO_NEW, as SO_RCVTIMEO"},
    {SOL_SOCKET, 67, "SO_SNDTIMEO_NEW, as SO_SNDTIMEO"},
    {SOL_SOCKET, 46, "SO_BUSY_POLL: more requires CAP_NET_ADMIN"},
    {SOL_SOCKET, 69, "SO_PREFER_BUSY_POLL requires CAP_NET_ADMIN"},
    {SOL_SOCKET, 70, "SO_BUSY_POLL_BUDGET requires CAP_NET_ADMIN"},
    {SOL_SOCKET, SO_INCOMING_CPU, "which of several sockets of one port is preferred; the kernel changes it itself"},
    {SOL_SOCKET, 61, "SO_TXTIME: of datagrams that name a time, which pumps do not"},
    {SOL_SOCKET, 72, "SO_BUF_LOCK: of TCP, whose buffers grow by themselves"},
    {SOL_SOCKET, 73, "SO_RESERVE_MEM requires memory that is accounted, and then keeps some"},
    {SOL_SOCKET, 74, "SO_TXREHASH: of TCP"},
    {IPPROTO_IP, 19, "IP_TRANSPARENT requires CAP_NET_ADMIN, and opens addresses to bind(2)"},
    {IPPROTO_IP, 24, "IP_BIND_ADDRESS_NO_PORT: of bind(2)"},
    {IPPROTO_IP, 51, "IP_LOCAL_PORT_RANGE: of bind(2)"},
    {SOL_SOCKET, SO_TIMESTAMP, "SO_TIMESTAMP: a stamp comes along, as with max_age"},
    {IPPROTO_IPV6, 30, "IPV6_ROUTER_ALERT_ISOLATE: of raw sockets"},
    {IPPROTO_IPV6, 75, "IPV6_TRANSPARENT requires CAP_NET_ADMIN, and opens addresses to bind(2)"},
};
bool is_harmless(int level, int option) {
  return std::any_of(std::begin(all_harmless), std::end(all_harmless),
                     [=](const harmless& one) { return one.level == level && one.option == option; });
}

struct option_range {
  int level, most;
};
constexpr option_range all_options[] = {{SOL_SOCKET, 84}, {IPPROTO_IP, 52}, {IPPROTO_IPV6, 82}, {IPPROTO_UDP, 105}};

/// What getsockopt(2) says to each number; nothing where it says nothing, or not the same twice.
using shown = std::vector<std::optional<std::string>>;
shown shown_by(int fd) {
  shown all;
  for (const auto& [level, most] : all_options) {
    for (int option = 0; option <= most; ++option) {
      char value[64] = {};
      socklen_t size = sizeof value;
      const bool is_identity = level == SOL_SOCKET && (option == 55 || option == 57 || option == 71);
      const bool says = !is_identity && ::getsockopt(fd, level, option, value, &size) == 0;
      all.push_back(says ? std::optional{std::string{value, std::min<std::size_t>(size, sizeof value)}} : std::nullopt);
    }
  }
  return all;
}

TEST_F(watched_sockets, have_no_option_that_a_worker_can_set_and_that_stays_so_and_harms) {
  std::vector<detail::wanted_address> others;
  for (const char* where : available({"[::1]:0", "[::]:0"})) others.push_back({"x", address::parse(where)});
  const private_folder folder;
  others.push_back({"x", address::parse("unix:" + folder / "socket")});
  sockets.open(std::move(others), {}, false, {}, log);
  auto check = make();
  auto time = now;
  std::size_t changed = 0;
  for (std::size_t at = 0; at < sockets.size(); ++at) {
    const datagram_socket& server = sockets.all()[at];
    const shown before = shown_by(server.fd());
    const auto client = server.family() == AF_UNIX
                            ? bound({}, ("unix:@udppump-client-" + std::to_string(::getpid())).c_str())
                            : datagram_socket::bind(server.local().is_ipv4() ? address::parse("127.0.0.1:0")
                                                                             : address::parse("[::1]:0"));
    const address where =
        server.local().is_wildcard() ? address::parse("[::1]:0").with_port(server.local().port()) : server.local();
    for (const auto& [level, most] : all_options) {
      for (int option = 0; option <= most; ++option) {
        bool is_set = false;
        for (const int value : {0, 1, 2, 3, 0x10}) {
          is_set |= ::setsockopt(server.fd(), level, option, &value, sizeof value) == 0;
        }
        const struct { int on, more, even_more; } longer{1, 0, 1};
        is_set |= ::setsockopt(server.fd(), level, option, &longer, sizeof longer) == 0;
        if (!is_set) continue;
        const std::string what =
            server.local().to_string() + ": option " + std::to_string(option) + " of level " + std::to_string(level);
        for (int looks = 0; looks < 2; ++looks) static_cast<void>(check.look(time += 400s));
        const shown after = shown_by(server.fd());
        std::size_t number = 0;
        for (const auto& [of, last] : all_options) {
          for (int one = 0; one <= last; ++one, ++number) {
            if (after[number] == before[number] || is_harmless(of, one)) continue;
            ADD_FAILURE() << what << " has changed option " << one << " of level " << of << " for good";
          }
        }
        ++changed;
        ASSERT_FALSE(client.send_to("question", where)) << what;
        ASSERT_EQ(received(server), "question") << what;
        ASSERT_FALSE(server.send_to("answer", client.local())) << what;
        ASSERT_EQ(received(client), "answer") << what;
      }
    }
  }
  EXPECT_GT(changed, 50u);
}

}  // namespace
