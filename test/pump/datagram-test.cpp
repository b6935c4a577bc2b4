#include "udppump/datagram.hpp"

#include <gtest/gtest.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstring>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "support/fault.hpp"
#include "support/sockets.hpp"

namespace {

using namespace std::chrono_literals;
using udppump::address;
using udppump::datagram;
using udppump::datagram_socket;
using udppump::ecn;
using udppump::pump;
using udppump::pump_options;
using udppump::reply_path;
using udppump::setting;
using udppump::ticket;

/// Has a pump hand one datagram of the socket to `handle`. False if none comes in time.
template <class Handler>
bool serve_one(datagram_socket& socket, Handler handle, const pump_options& options = {}) {
  bool served = false;
  pump server{socket,
              [&](datagram& request) {
                handle(request);
                served = true;
              },
              options};
  return serve_until(server, [&] { return served; });
}

/// Two ends, each the other's peer.
std::pair<datagram_socket, datagram_socket> unix_pair() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    throw std::system_error{errno, std::generic_category(), "socketpair"};
  }
  return {datagram_socket::adopt(ends[0]), datagram_socket::adopt(ends[1])};
}

/// Addresses of this host on interfaces that are up, as "a.b.c.d" and "[v6]".
std::vector<std::string> own_hosts() {
  std::vector<std::string> hosts{"127.0.0.1", "127.0.0.2", "127.255.255.254"};
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return hosts;
  const std::unique_ptr<ifaddrs, void (*)(ifaddrs*)> owner{list, ::freeifaddrs};
  for (const ifaddrs* one = list; one != nullptr; one = one->ifa_next) {
    if (one->ifa_addr == nullptr || (one->ifa_flags & IFF_UP) == 0) continue;
    const bool v4 = one->ifa_addr->sa_family == AF_INET;
    if (!v4 && one->ifa_addr->sa_family != AF_INET6) continue;
    auto text = address::from_sockaddr(one->ifa_addr, v4 ? sizeof(sockaddr_in) : sizeof(sockaddr_in6)).to_string();
    hosts.push_back(text.substr(0, text.size() - 2));  // ":0"
  }
  return hosts;
}

// --- replies ---------------------------------------------------------------------------------------------------------

// A connected client takes nothing that leaves from another address than the one it asked.
TEST(reply, leaves_from_the_address_that_was_asked) {
  for (const char* where : available({"0.0.0.0:0", "[::]:0"})) {
    auto server = bound({}, where);
    for (const auto& host : own_hosts()) {
      const auto asked = address::parse(host + ":0").with_port(server.local().port());
      if (asked.is_ipv6() && server.family() == AF_INET) continue;
      const auto client = datagram_socket::connect(asked);
      ASSERT_FALSE(client.send("who are you?")) << host;
      EXPECT_TRUE(serve_one(server, [&](datagram& request) {
        EXPECT_EQ(request.text(), "who are you?");
        EXPECT_EQ(request.to, asked);
        EXPECT_EQ(request.from, client.local());
        EXPECT_EQ(request.socket, &server);
        EXPECT_GT(request.interface_index, 0u);
        EXPECT_FALSE(request.reply("as you say"));
      })) << host;
      EXPECT_EQ(received(client), "as you say") << host;
    }
  }
}

TEST(reply, answers_a_broadcast_from_the_interfaces_own_address) {
  for (const char* where : available({"0.0.0.0:0", "[::]:0"})) {
    auto server = bound({}, where);
    const auto client = bound({.broadcast = true});
    ASSERT_FALSE(client.send_to("anyone?", address::parse("127.255.255.255:0").with_port(server.local().port())));
    EXPECT_TRUE(serve_one(server, [](datagram& request) {
      EXPECT_EQ(request.to.unmapped().with_port(0), address::parse("127.255.255.255:0"));
      EXPECT_FALSE(request.reply("I"));
    })) << where;
    EXPECT_EQ(received(client), "I") << where;
  }
}

TEST(reply, goes_out_to_an_ipv4_client_of_a_dual_stack_socket_who_is_told_as_plain_ipv4) {
  if (!has_ipv6()) GTEST_SKIP() << "no IPv6 here";
  auto server = bound({}, "[::]:0");
  const auto client = bound();
  ASSERT_FALSE(client.send_to("x", address::parse("127.0.0.1:0").with_port(server.local().port())));
  EXPECT_TRUE(serve_one(server, [&](datagram& request) {
    EXPECT_TRUE(request.from.is_ipv4());
    EXPECT_TRUE(request.to.is_ipv4());
    EXPECT_FALSE(request.reply("y"));
  }));
  EXPECT_EQ(received(client), "y");
}

TEST(reply, may_send_back_the_payload_changed_in_place) {
  auto server = bound();
  const auto client = datagram_socket::connect(server.local());
  ASSERT_FALSE(client.send("abc"));
  EXPECT_TRUE(serve_one(server, [](datagram& request) {
    request.payload[0] = std::byte{'X'};
    EXPECT_FALSE(request.reply(request.text()));
    EXPECT_FALSE(request.reply(request.payload.first(1)));
    EXPECT_FALSE(request.reply(""));
  }));
  EXPECT_EQ(received(client), "Xbc");
  EXPECT_EQ(received(client), "X");
  EXPECT_EQ(received(client), "");
}

TEST(reply, takes_the_options_of_a_send) {
  auto server = bound();
  auto client = datagram_socket::connect(server.local(), {.receive_ecn = true});
  ASSERT_FALSE(client.send("x"));
  EXPECT_TRUE(serve_one(
      server, [](datagram& request) { EXPECT_FALSE(request.reply("aabbc", {.segment_size = 2, .ecn = ecn::ect0})); }));
  std::string whole;
  pump reader{client, [&](datagram& answer) {
                EXPECT_EQ(answer.ecn, ecn::ect0);
                whole += std::string{answer.text()} + ",";
              }};
  EXPECT_TRUE(serve_until(reader, [&] { return whole.size() >= 8; })) << whole;
  EXPECT_EQ(whole, "aa,bb,c,");
}

TEST(reply, works_over_a_connected_udp_socket_and_over_a_socketpair) {
  auto server = bound();
  auto client = datagram_socket::connect(server.local());
  ASSERT_FALSE(server.send_to("x", client.local()));
  EXPECT_TRUE(serve_one(client, [](datagram& request) { EXPECT_FALSE(request.reply("y")); }));
  EXPECT_EQ(received(server), "y");

  auto [near, far] = unix_pair();
  ASSERT_FALSE(near.send("x"));

  EXPECT_TRUE(serve_one(far, [](datagram& request) {
    EXPECT_TRUE(request.from.is_none());
    EXPECT_FALSE(request.reply("y"));
  }));
  EXPECT_EQ(received(near), "y");
}

TEST(reply, to_an_unnamed_unix_peer_is_a_clear_error) {
  const std::string name = "unix:@udppump-datagram-test-" + std::to_string(::getpid());
  auto server = datagram_socket::bind(address::parse(name));
  const auto unnamed = datagram_socket::connect(server.local());
  ASSERT_FALSE(unnamed.send("x"));
  EXPECT_TRUE(serve_one(server, [](datagram& request) {
    EXPECT_TRUE(request.from.is_none());
    EXPECT_EQ(request.reply("y"), std::errc::destination_address_required);
    EXPECT_EQ(request.reply_path().send("y"), std::errc::destination_address_required);
  }));
  EXPECT_EQ(server.send_errors(), 2u);
}

TEST(reply, of_a_udp_socket_to_nobody_is_the_same_error) {
  for (const char* host : available({"127.0.0.1:0", "[::1]:0"})) {
    const auto socket = bound({}, host);
    EXPECT_EQ((reply_path{socket, {}, {}}.send("x")), std::errc::destination_address_required) << host;
  }
}

TEST(reply, of_a_datagram_that_the_program_made_without_a_socket_is_an_error) {
  datagram made;
  made.from = address::parse("127.0.0.1:9");
  EXPECT_EQ(made.reply("x"), std::errc::destination_address_required);
  EXPECT_EQ(made.reply_path().send("x"), std::errc::destination_address_required);
  EXPECT_EQ(reply_path{}.send("x"), std::errc::destination_address_required);
}

TEST(reply, of_a_datagram_that_the_program_made_with_a_socket_goes_out) {
  const auto server = bound({}, "0.0.0.0:0");
  const auto client = bound();
  datagram made;
  made.socket = &server;
  made.from = client.local();
  made.source = {.local = address::parse("127.0.0.7:0")};
  EXPECT_FALSE(made.reply("x"));
  EXPECT_EQ(received(client), "x");
}

TEST(reply, that_fails_is_returned_and_counted) {
  const auto server = bound();
  datagram made;
  made.socket = &server;
  made.from = address::parse("127.0.0.1:0");
  EXPECT_EQ(made.reply("x"), std::errc::invalid_argument);
  EXPECT_EQ(server.send_errors(), 1u);
  const fault::injection filtered{{.call = "sendmsg", .error = EPERM, .fd = server.fd()}};
  made.from = server.local();
  EXPECT_EQ(made.reply("x"), std::errc::operation_not_permitted);
  EXPECT_EQ(filtered.hits(), 1);
  EXPECT_EQ(server.send_errors(), 2u);
}

TEST(reply_path, answers_later_from_another_thread_and_from_the_address_that_was_asked) {
  auto server = bound({}, "0.0.0.0:0");
  const auto client = datagram_socket::connect(address::parse("127.0.0.2:0").with_port(server.local().port()));
  ASSERT_FALSE(client.send("later, please"));
  reply_path kept;
  ASSERT_TRUE(serve_one(server, [&](datagram& request) { kept = request.reply_path(); }));
  EXPECT_EQ(kept.to(), client.local());
  EXPECT_EQ(kept.source().local.with_port(0), address::parse("127.0.0.2:0"));
  std::thread{[copy = kept] { EXPECT_FALSE(copy.send("here it is")); }}.join();
  EXPECT_EQ(received(client), "here it is");
  EXPECT_FALSE(kept.send("and again", {.source = {.local = address::parse("127.0.0.9:0")}}));  // its own source holds
  EXPECT_EQ(received(client), "and again");
}

TEST(reply_path, many_threads_answer_at_once) {
  auto server = bound({}, "0.0.0.0:0");
  const auto client = datagram_socket::connect(address::parse("127.0.0.3:0").with_port(server.local().port()));
  ASSERT_FALSE(client.send("x"));
  reply_path path;
  ASSERT_TRUE(serve_one(server, [&](datagram& request) { path = request.reply_path(); }));
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([path] {
      for (int answer = 0; answer < 5; ++answer) EXPECT_FALSE(path.send("y"));
    });
  }
  for (auto& thread : threads) thread.join();
  for (int answer = 0; answer < 20; ++answer) EXPECT_EQ(received(client), "y");
}

// --- tickets ---------------------------------------------------------------------------------------------------------

static_assert(!std::is_copy_constructible_v<ticket> && !std::is_copy_assignable_v<ticket>);
static_assert(std::is_nothrow_move_constructible_v<ticket> && std::is_nothrow_move_assignable_v<ticket>);
static_assert(!std::is_copy_constructible_v<datagram> && !std::is_copy_assignable_v<datagram>);
static_assert(std::is_nothrow_copy_constructible_v<reply_path>);

/// A pump that keeps a ticket of every datagram.
class keeper {
 public:
  explicit keeper(std::size_t most = 0)
      : pump_{std::make_unique<pump>(
            socket_, [this](datagram& request) { kept.push_back(request.hold()); },
            pump_options{.max_in_flight = most})} {}

  /// Sends so many datagrams and has them served.
  bool take(std::size_t count) {
    const std::size_t wanted = kept.size() + count;
    for (std::size_t sent = 0; sent < count; ++sent) {
      if (client_.send("x")) return false;
    }
    return serve_until(*pump_, [&] { return kept.size() == wanted; });
  }
  std::size_t out() const { return pump_->in_flight(); }
  pump& served() { return *pump_; }
  void destroy_pump() { pump_.reset(); }

  std::vector<ticket> kept;

 private:
  datagram_socket socket_ = bound();
  datagram_socket client_ = datagram_socket::connect(socket_.local());
  std::unique_ptr<pump> pump_;
};

TEST(ticket, counts_from_hold_until_it_is_destroyed) {
  keeper work;
  ASSERT_TRUE(work.take(3));
  EXPECT_EQ(work.out(), 3u);
  EXPECT_EQ(work.served().stats().in_flight, 3u);
  work.kept.pop_back();
  EXPECT_EQ(work.out(), 2u);
  work.kept.clear();
  EXPECT_EQ(work.out(), 0u);
}

TEST(ticket, released_twice_counts_once) {
  keeper work;
  ASSERT_TRUE(work.take(2));
  ticket& one = work.kept[0];
  EXPECT_TRUE(one);
  one.release();
  EXPECT_FALSE(one);
  one.release();
  EXPECT_EQ(work.out(), 1u);
  work.kept.clear();
  EXPECT_EQ(work.out(), 0u);
}

TEST(ticket, moves_without_counting_again) {
  keeper work;
  ASSERT_TRUE(work.take(1));
  ticket first = std::move(work.kept[0]);
  EXPECT_TRUE(first);
  EXPECT_FALSE(work.kept[0]);
  EXPECT_EQ(work.out(), 1u);
  ticket second;
  second = std::move(first);
  EXPECT_TRUE(second);
  EXPECT_FALSE(first);  // NOLINT(bugprone-use-after-move): that is the question
  EXPECT_EQ(work.out(), 1u);
  second = ticket{};
  EXPECT_EQ(work.out(), 0u);
}

TEST(ticket, assigned_over_gives_back_what_it_held) {
  keeper work;
  ASSERT_TRUE(work.take(2));
  work.kept[0] = std::move(work.kept[1]);
  EXPECT_TRUE(work.kept[0]);
  EXPECT_EQ(work.out(), 1u);
}

TEST(ticket, moved_to_itself_stays) {
  keeper work;
  ASSERT_TRUE(work.take(1));
  ticket& one = work.kept[0];
  ticket& same = one;
  one = std::move(same);
  EXPECT_TRUE(one);
  EXPECT_EQ(work.out(), 1u);
}

TEST(ticket, outlives_its_pump) {
  keeper work;
  ASSERT_TRUE(work.take(2));
  work.destroy_pump();
  EXPECT_TRUE(work.kept[0]);
  work.kept[0].release();
  std::thread{[last = std::move(work.kept[1])]() mutable { last.release(); }}.join();
}

TEST(ticket, given_back_on_another_thread_lets_a_full_pump_go_on) {
  keeper work{1};
  ASSERT_TRUE(work.take(1));
  EXPECT_EQ(work.out(), 1u);
  auto given_back = std::async(std::launch::async, [held = std::move(work.kept[0])]() mutable { held.release(); });
  EXPECT_TRUE(work.take(1));
  given_back.get();
  EXPECT_EQ(work.out(), 1u);
}

TEST(ticket, of_a_datagram_that_no_pump_made_is_empty) {
  const datagram made;
  const ticket none = made.hold();
  EXPECT_FALSE(none);
  EXPECT_FALSE(ticket{});
}

// --- what a datagram tells of itself ---------------------------------------------------------------------------------

TEST(datagram, without_a_receive_time_has_no_age) {
  EXPECT_FALSE(datagram{}.age());
  auto server = bound();
  const auto client = datagram_socket::connect(server.local());
  ASSERT_FALSE(client.send("x"));
  EXPECT_TRUE(serve_one(server, [](datagram& request) {
    EXPECT_FALSE(request.receive_time);
    EXPECT_FALSE(request.age());
    EXPECT_TRUE(request.to.is_none());  // bound to one address, which needs no telling
    EXPECT_EQ(request.interface_index, 0u);
  }));
}

// The kernel begins to take times a little after the first socket asked; until then a datagram's time is that of
// its reading (net/core/dev.c: net_enable_timestamp).
TEST(datagram, that_waited_says_how_long) {
  auto server = bound({.receive_time = true});
  const auto client = datagram_socket::connect(server.local());
  std::chrono::nanoseconds age{-1};
  EXPECT_TRUE(eventually([&] {
    if (client.send("x")) return false;
    const auto sent = std::chrono::steady_clock::now();
    while (std::chrono::steady_clock::now() < sent + 20ms) std::this_thread::yield();
    age = {};
    EXPECT_TRUE(serve_one(server, [&](datagram& request) { age = request.age().value_or(-1ns); }));
    return age >= 10ms;  // generous: the wall clock may be adjusted meanwhile
  })) << age.count();
  EXPECT_LE(age, patience);
}

TEST(datagram, is_never_younger_than_nothing_though_the_clock_steps_back) {
  datagram made;
  made.receive_time = std::chrono::system_clock::now() + 1h;
  EXPECT_EQ(made.age(), 0ns);
  made.receive_time = std::chrono::system_clock::now() - 1h;
  EXPECT_GE(*made.age(), 1h);
}

TEST(datagram, longer_than_the_limit_says_so_with_its_real_size) {
  auto server = bound();
  const auto client = datagram_socket::connect(server.local());
  ASSERT_FALSE(client.send("0123456789"));
  EXPECT_TRUE(serve_one(server,
                        [](datagram& request) {
                          EXPECT_TRUE(request.truncated());
                          EXPECT_EQ(request.text(), "0123");
                          EXPECT_EQ(request.real_size, 10u);
                        },
                        {.receive_limit = 4}));
  ASSERT_FALSE(client.send("0123"));
  EXPECT_TRUE(serve_one(server,
                        [](datagram& request) {
                          EXPECT_FALSE(request.truncated());
                          EXPECT_EQ(request.text(), "0123");
                        },
                        {.receive_limit = 4}));
}

TEST(datagram, of_no_bytes_is_one_too) {
  auto server = bound();
  const auto client = datagram_socket::connect(server.local());
  ASSERT_FALSE(client.send(""));
  EXPECT_TRUE(serve_one(server, [&](datagram& request) {
    EXPECT_TRUE(request.payload.empty());
    EXPECT_EQ(request.text(), "");
    EXPECT_EQ(request.real_size, 0u);
    EXPECT_FALSE(request.truncated());
    EXPECT_EQ(request.from, client.local());
  }));
}

TEST(datagram, made_by_a_program_tests_its_handler) {
  std::array<std::byte, 3> bytes{std::byte{'a'}, std::byte{'b'}, std::byte{'c'}};
  datagram made;
  made.payload = bytes;
  made.real_size = 3;
  EXPECT_EQ(made.text(), "abc");
  EXPECT_FALSE(made.truncated());
  made.real_size = 4;
  EXPECT_TRUE(made.truncated());
}

}  // namespace
