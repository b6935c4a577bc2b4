#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <udppump/pump.hpp>
#include <vector>

#include "support/process.hpp"
#include "support/serve.hpp"
#include "support/waiters.hpp"

using namespace udppump;
using namespace std::chrono_literals;

namespace {

class group_under : public every_waiter {};
UDPPUMP_UNDER_EVERY_WAITER(group_under);

TEST_P(group_under, many_sockets_share_one_wake_fd_and_each_datagram_finds_its_handler) {
  constexpr std::size_t count = 200;
  pump_group group{{.waiter = GetParam()}};
  std::vector<datagram_socket> sockets;
  for (std::size_t at = 0; at < count; ++at) sockets.push_back(bound());
  std::vector<std::string> texts(count);
  std::vector<std::unique_ptr<pump>> pumps;
  for (std::size_t at = 0; at < count; ++at) {
    pumps.push_back(
        std::make_unique<pump>(group, sockets[at], [&texts, at](datagram& one) { texts[at] = one.text(); }));
    EXPECT_EQ(pumps.back()->wake_fd(), group.wake_fd());
  }
  EXPECT_EQ(group.size(), count);
  settle(group);
  for (std::size_t at = 0; at < count; at += 7) {
    ASSERT_FALSE(sockets[0].send_to(std::to_string(at), sockets[at].local()));
    ASSERT_TRUE(serve_until(group, [&] { return texts[at] == std::to_string(at); }));
  }
  for (std::size_t at = 0; at < count; ++at) ASSERT_FALSE(sockets[0].send_to("all", sockets[at].local()));
  EXPECT_TRUE(serve_until(group, [&] { return std::count(texts.begin(), texts.end(), "all") == count; }));
}

TEST_P(group_under, a_busy_pump_leaves_the_others_their_turn) {
  pump_group group{{.waiter = GetParam(), .budget_time = 10s}};
  datagram_socket busy_socket = bound(), quiet_socket = bound();
  std::string order;
  pump busy{group, busy_socket, [&](datagram&) { order += 'b'; }, {.budget_datagrams = 3, .budget_time = 10s}};
  pump quiet{group, quiet_socket, [&](datagram&) { order += 'q'; }};
  for (int sent = 0; sent < 9; ++sent) ASSERT_FALSE(busy_socket.send_to("x", busy_socket.local()));
  ASSERT_FALSE(quiet_socket.send_to("x", quiet_socket.local()));
  ASSERT_TRUE(serve_until(group, [&] { return order.size() == 10; }));
  EXPECT_EQ(order, "bbbqbbbbbb");
}

TEST_P(group_under, the_groups_budget_of_time_ends_a_dispatch_between_pumps) {
  pump_group group{{.waiter = GetParam(), .budget_time = 1ms}};
  std::vector<datagram_socket> sockets;
  for (int at = 0; at < 3; ++at) sockets.push_back(bound());
  int served = 0;
  std::vector<std::unique_ptr<pump>> pumps;
  for (auto& socket : sockets) {
    pumps.push_back(
        std::make_unique<pump>(group, socket, [&](datagram&) { ++served, std::this_thread::sleep_for(2ms); }));
    ASSERT_FALSE(socket.send_to("x", socket.local()));
  }
  ASSERT_FALSE(group.dispatch());
  EXPECT_EQ(served, 1);
  EXPECT_TRUE(readable(group.wake_fd()));
  EXPECT_TRUE(serve_until(group, [&] { return served == 3; }));
}

TEST_P(group_under, a_pump_may_join_and_leave_inside_a_handler) {
  pump_group group{{.waiter = GetParam()}};
  datagram_socket first_socket = bound(), second_socket = bound();
  std::unique_ptr<pump> first, second;
  std::string payload_after;
  bool second_served = false;
  first = std::make_unique<pump>(
      group, first_socket,
      [&](datagram& one) {
        // A larger receive limit wants a larger buffer; this datagram's must stay.
        second = std::make_unique<pump>(
            group, second_socket, [&](datagram&) { second_served = true; }, pump_options{.receive_limit = 1'000'000});
        payload_after = one.text();
        first.reset();
      },
      pump_options{.receive_limit = 100});
  ASSERT_FALSE(first_socket.send_to("stay", first_socket.local()));
  ASSERT_FALSE(second_socket.send_to("x", second_socket.local()));
  EXPECT_TRUE(serve_until(group, [&] { return second_served; }));
  EXPECT_EQ(payload_after, "stay");
  EXPECT_EQ(group.size(), 1u);
}

TEST_P(group_under, nothing_of_one_sockets_datagram_shows_in_anothers) {
  pump_group group{{.waiter = GetParam()}};
  datagram_socket told_socket = bound({.local_address = setting::on, .receive_time = true, .receive_ecn = true});
  datagram_socket plain_socket = bound();
  int told_served = 0, plain_served = 0;
  pump told{group, told_socket, [&](datagram& one) {
              ++told_served;
              EXPECT_EQ(one.to, told_socket.local());
              EXPECT_EQ(one.codepoint, ecn::ect0);
              EXPECT_TRUE(one.receive_time);
            }};
  pump plain{group, plain_socket, [&](datagram& one) {
               ++plain_served;
               EXPECT_TRUE(one.to.is_none());
               EXPECT_EQ(one.interface_index, 0u);
               EXPECT_EQ(one.codepoint, ecn::not_ect);
               EXPECT_FALSE(one.receive_time);
               EXPECT_EQ(one.socket, &plain_socket);
             }};
  for (int round = 1; round <= 3; ++round) {
    ASSERT_FALSE(plain_socket.send_to("x", told_socket.local(), {.codepoint = ecn::ect0}));
    ASSERT_FALSE(told_socket.send_to("x", plain_socket.local()));
    ASSERT_TRUE(serve_until(group, [&] { return told_served == round && plain_served == round; }));
    settle(group);
  }
}

TEST_P(group_under, run_ends_when_every_pump_has_stopped_and_at_once_without_pumps) {
  pump_group group{{.waiter = GetParam()}};
  EXPECT_FALSE(group.run());
  datagram_socket first_socket = bound(), second_socket = bound();
  pump first{group, first_socket, [&](datagram&) { first.stop(); }};
  pump second{group, second_socket, [&](datagram&) { second.stop(); }};
  ASSERT_FALSE(first_socket.send_to("x", first_socket.local()));
  ASSERT_FALSE(first_socket.send_to("x", second_socket.local()));
  EXPECT_FALSE(group.run());
  EXPECT_EQ(group.size(), 0u);
}

TEST_P(group_under, request_stop_ends_all_pumps_and_a_pumps_own_only_that_one) {
  pump_group group{{.waiter = GetParam()}};
  datagram_socket first_socket = bound(), second_socket = bound();
  pump first{group, first_socket, [](datagram&) {}};
  pump second{group, second_socket, [](datagram&) {}};
  settle(group);
  first.request_stop();
  ASSERT_TRUE(serve_until(group, [&] { return first.stopped(); }));
  EXPECT_FALSE(second.stopped());
  std::thread other{[&] { group.request_stop(); }};
  EXPECT_FALSE(group.run());
  other.join();
  EXPECT_TRUE(second.stopped());
}

TEST_P(group_under, a_second_pump_on_the_same_socket_is_refused) {
  pump_group group{{.waiter = GetParam()}};
  datagram_socket socket = bound();
  {
    const pump first{group, socket, [](datagram&) {}};
    EXPECT_THROW((pump{group, socket, [](datagram&) {}}), std::invalid_argument);
    EXPECT_EQ(group.size(), 1u);
  }
  int served = 0;
  const pump again{group, socket, [&](datagram&) { ++served; }};
  ASSERT_FALSE(socket.send_to("x", socket.local()));
  EXPECT_TRUE(serve_until(group, [&] { return served == 1; }));
}

TEST_P(group_under, a_pump_that_fails_leaves_the_others_in_service) {
  pump_group group{{.waiter = GetParam()}};
  datagram_socket broken_socket = bound(), good_socket = bound();
  int fatal = 0, served = 0;
  pump broken{group, broken_socket, [](datagram&) {}, {.on_error = [&](const receive_error& error) {
                fatal += error.what == receive_error::kind::fatal;
              }}};
  pump good{group, good_socket, [&](datagram&) { ++served; }};
  ::close(broken_socket.release());
  ASSERT_FALSE(good_socket.send_to("x", good_socket.local()));
  EXPECT_TRUE(serve_until(group, [&] { return served == 1; }));
  EXPECT_EQ(fatal, 1);
  EXPECT_FALSE(group.dispatch());
}

TEST_P(group_under, any_pump_may_be_destroyed_in_any_handler) {
  for (int victim = 0; victim < 3; ++victim) {
    pump_group group{{.waiter = GetParam()}};
    std::vector<datagram_socket> sockets;
    for (int at = 0; at < 3; ++at) sockets.push_back(bound());
    std::vector<std::unique_ptr<pump>> pumps(3);
    std::string order;
    for (std::size_t at = 0; at < 3; ++at) {
      pumps[at] = std::make_unique<pump>(group, sockets[at], [&, at](datagram&) {
        order += std::to_string(at);
        pumps[static_cast<std::size_t>(victim)].reset();
      });
      ASSERT_FALSE(sockets[at].send_to("x", sockets[at].local()));
    }
    settle(group);
    EXPECT_EQ(order, victim == 0 ? "012" : victim == 1 ? "02" : "01");
    EXPECT_EQ(group.size(), 2u);
  }
}

TEST_P(group_under, a_throwing_on_error_leaves_no_dead_pump_in_the_group) {
  pump_group group{{.waiter = GetParam()}};
  datagram_socket socket = bound();
  pump broken{
      group, socket, [](datagram&) {}, {.on_error = [](const receive_error&) { throw std::runtime_error{"x"}; }}};
  ::close(socket.release());
  EXPECT_THROW(static_cast<void>(group.run()), std::runtime_error);
  EXPECT_EQ(group.size(), 0u);
  EXPECT_EQ(group.run(), std::errc::bad_file_descriptor);
}

TEST_P(group_under, a_pump_in_a_group_has_the_groups_waiter) {
  pump_group group{{.waiter = GetParam()}};
  datagram_socket socket = bound();
  EXPECT_THROW((pump{group, socket, [](datagram&) {}, {.waiter = GetParam()}}), std::invalid_argument);
  const pump member{group, socket, [](datagram&) {}};
  EXPECT_EQ(member.waiter().kind, GetParam());
  EXPECT_THROW(pump_group{{.budget_time = 0ms}}, std::invalid_argument);
}

TEST_P(group_under, many_pumps_without_a_group_start_serve_and_stop) {
  // Five descriptors each at most, within the 1024 that many systems allow.
  const std::size_t before = open_descriptors();
  constexpr int count = 150;
  std::vector<datagram_socket> sockets;
  std::vector<std::unique_ptr<pump>> pumps;
  int served = 0;
  for (int at = 0; at < count; ++at) sockets.push_back(bound());
  for (auto& socket : sockets) {
    pumps.push_back(std::make_unique<pump>(
        socket, [&](datagram&) { ++served; }, pump_options{.waiter = GetParam()}));
    settle(*pumps.back());
  }
  for (int at = 0; at < count; ++at) {
    const auto index = static_cast<std::size_t>(at);
    ASSERT_FALSE(sockets[0].send_to("x", sockets[index].local()));
    ASSERT_TRUE(serve_until(*pumps[index], [&] { return served == at + 1; }));
  }
  pumps.clear();
  sockets.clear();
  EXPECT_EQ(open_descriptors(), before);
}

}  // namespace
