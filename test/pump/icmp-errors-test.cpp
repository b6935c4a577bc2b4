// socket_options::icmp_errors under a pump: what the kernel says of an earlier send is told once, with its peer.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <string>
#include <system_error>
#include <udppump/pump.hpp>
#include <vector>

#include "support/fault.hpp"
#include "support/serve.hpp"
#include "support/sockets.hpp"
#include "support/waiters.hpp"

using namespace udppump;
using namespace std::chrono_literals;

namespace {

class icmp_errors_under : public every_waiter {
 protected:
  pump_options options() {
    return {.on_error = [this](const receive_error& error) { told.push_back(error); }};
  }
  /// What was told is one ICMP error of that peer, and it was counted once.
  void expect_told_once(const address& dead, const pump_stats& stats, const std::string& where) const {
    ASSERT_EQ(told.size(), 1u) << where;
    EXPECT_EQ(told[0].what, receive_error::kind::icmp) << where;
    EXPECT_EQ(told[0].code, std::errc::connection_refused) << where << ": " << told[0].code.message();
    EXPECT_EQ(told[0].peer, dead) << where;
    ASSERT_EQ(stats.errors.size(), 1u) << where;
    EXPECT_EQ(stats.errors[0].code, std::errc::connection_refused) << where;
    EXPECT_EQ(stats.errors[0].count, 1u) << where;
  }
  /// All that waits has been taken, and nothing more comes.
  template <class Source>
  static void expect_rest(Source& source) {
    settle(source);
    EXPECT_FALSE(readable(source.wake_fd(), 20ms));
  }

  std::vector<receive_error> told;
};
UDPPUMP_UNDER_EVERY_WAITER(icmp_errors_under);

TEST_P(icmp_errors_under, one_that_comes_while_the_pump_waits_is_told_and_counted_once) {
  for (const auto& [local, host] : ways_to_a_dead_peer()) {
    datagram_socket asker = bound({.icmp_errors = true}, local);
    const address dead = dead_peer(host);
    told.clear();
    pump pump{asker, [](datagram&) { ADD_FAILURE(); }, options(), GetParam()};
    settle(pump);
    static_cast<void>(asker.send_to("anybody there?", dead));
    ASSERT_TRUE(serve_until(pump, [&] { return !told.empty(); })) << local;
    expect_rest(pump);
    expect_told_once(dead, pump.stats(), local);
  }
}

TEST_P(icmp_errors_under, one_that_a_receive_meets_is_told_and_counted_once) {
  for (const auto& [local, host] : ways_to_a_dead_peer()) {
    datagram_socket asker = bound({.icmp_errors = true}, local);
    const address dead = dead_peer(host);
    told.clear();
    ASSERT_TRUE(provoke_icmp_error(asker, dead)) << local;
    pump pump{asker, [](datagram&) { ADD_FAILURE(); }, options(), GetParam()};
    ASSERT_TRUE(serve_until(pump, [&] { return !told.empty(); })) << local;
    expect_rest(pump);
    expect_told_once(dead, pump.stats(), local);
  }
}

TEST_P(icmp_errors_under, those_of_a_connected_socket_are_told_once_each_and_hold_up_no_datagram) {
  auto server = std::make_optional(bound());
  const address where = server->local();
  datagram_socket asker = datagram_socket::connect(where, {.icmp_errors = true});
  server.reset();
  pump pump{asker, [](datagram&) {}, options(), GetParam()};
  settle(pump);
  for (std::size_t sent = 1; sent <= 3; ++sent) {
    EXPECT_FALSE(asker.send("anybody there?")) << sent;
    ASSERT_TRUE(serve_until(pump, [&] { return told.size() == sent; }));
  }
  EXPECT_FALSE(asker.send("two at once")) << "whose error waits in the queue when the next is sent";
  EXPECT_FALSE(asker.send("two at once"));
  ASSERT_TRUE(serve_until(pump, [&] { return told.size() == 5; }));
  expect_rest(pump);
  EXPECT_EQ(told.size(), 5u);
  for (const receive_error& error : told) EXPECT_EQ(error.code, std::errc::connection_refused);
  EXPECT_EQ(asker.send_errors(), 0u);
}

TEST_P(icmp_errors_under, one_that_a_reply_to_somebody_else_meets_is_told_once_and_the_reply_goes_out) {
  for (const auto& way : ways_to_a_dead_peer()) {
    const auto& local = way.local;  // clang 14 captures no structured binding
    const auto& host = way.host;
    datagram_socket asker = bound({.icmp_errors = true}, local);
    const auto alive = datagram_socket::connect(
        with_port_of(std::string{host}.substr(0, std::string{host}.rfind(':')).c_str(), asker));
    const address dead = dead_peer(host);
    told.clear();
    pump pump{asker,
              [&](datagram& received) {
                ASSERT_TRUE(provoke_icmp_error(asker, dead));
                EXPECT_FALSE(received.reply("answer")) << local;
              },
              options(), GetParam()};
    ASSERT_FALSE(alive.send("question"));
    ASSERT_TRUE(serve_until(pump, [&] { return !told.empty(); })) << local;
    expect_rest(pump);
    EXPECT_EQ(received(alive), "answer") << local;
    EXPECT_EQ(pump.stats().send_errors, 0u) << local;
    expect_told_once(dead, pump.stats(), local);
  }
}

TEST_P(icmp_errors_under, several_are_told_once_each) {
  datagram_socket asker = bound({.icmp_errors = true});
  std::vector<address> dead;
  {
    std::vector<datagram_socket> alive;
    for (int made = 0; made < 5; ++made) alive.push_back(bound()), dead.push_back(alive.back().local());
  }
  pump pump{asker, [](datagram&) { ADD_FAILURE(); }, options(), GetParam()};
  settle(pump);
  for (const address& each : dead) static_cast<void>(asker.send_to("x", each));
  ASSERT_TRUE(serve_until(pump, [&] { return told.size() >= dead.size(); }));
  expect_rest(pump);
  std::vector<address> peers;
  for (const receive_error& each : told) peers.push_back(each.peer);
  EXPECT_EQ(peers, dead);
  EXPECT_EQ(pump.stats().errors.at(0).count, dead.size());
}

TEST_P(icmp_errors_under, workers_that_share_a_socket_tell_one_between_them) {
  datagram_socket one = bound({.icmp_errors = true});
  datagram_socket other = datagram_socket::adopt(::dup(one.fd()));
  const address dead = dead_peer();
  pump first{one, [](datagram&) {}, options(), GetParam()}, second{other, [](datagram&) {}, options(), GetParam()};
  settle(first), settle(second);
  static_cast<void>(one.send_to("x", dead));
  ASSERT_TRUE(eventually([&] {
    static_cast<void>(first.dispatch());
    static_cast<void>(second.dispatch());
    return !told.empty();
  }));
  expect_rest(first), expect_rest(second);
  EXPECT_EQ(told.size(), 1u);
  EXPECT_EQ(first.stats().errors.size() + second.stats().errors.size(), 1u);
}

TEST_P(icmp_errors_under, one_that_another_worker_has_told_is_passed_over) {
  datagram_socket asker = bound({.icmp_errors = true});
  const auto client = datagram_socket::connect(asker.local());
  int served = 0;
  pump pump{asker, [&](datagram&) { ++served; }, options(), GetParam()};
  const fault::injection theirs{{.call = "recvfrom", .error = ECONNREFUSED, .times = 1, .fd = asker.fd()}};
  ASSERT_FALSE(client.send("x"));
  ASSERT_TRUE(serve_until(pump, [&] { return served == 1; }));
  EXPECT_EQ(theirs.hits(), 1);
  EXPECT_TRUE(told.empty());
  EXPECT_TRUE(pump.stats().errors.empty());
}

TEST_P(icmp_errors_under, no_icmp_message_can_end_a_pump) {
  // EOPNOTSUPP says that a descriptor is no datagram socket, or comes from a router: "source route failed" (ICMP type
  // 3, code 5), which anybody can send.
  datagram_socket asker = bound({.icmp_errors = true});
  const auto client = datagram_socket::connect(asker.local());
  int served = 0;
  pump pump{asker, [&](datagram&) { ++served; }, options(), GetParam()};
  for (const int error : {EOPNOTSUPP, EPROTO, ENOPROTOOPT, EHOSTUNREACH, EACCES}) {
    const fault::injection from_router{{.call = "recvfrom", .error = error, .times = 1, .fd = asker.fd()}};
    const int before = served;
    ASSERT_FALSE(client.send("x"));
    ASSERT_TRUE(serve_until(pump, [&] { return served > before; })) << error;
    EXPECT_EQ(from_router.hits(), 1) << error;
  }
  EXPECT_FALSE(pump.stopped());
}

}  // namespace
