#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <udppump/pump.hpp>
#include <udppump/pump_group.hpp>
#include <utility>
#include <vector>

#include "support/fault.hpp"
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
  const int wake_fd = group.wake_fd();
  std::vector<datagram_socket> sockets;
  for (std::size_t at = 0; at < count; ++at) sockets.push_back(bound());
  std::vector<std::string> texts(count);
  std::vector<grouped_pump> pumps;
  for (std::size_t at = 0; at < count; ++at) {
    pumps.push_back(group.add(sockets[at], [&texts, at](datagram& one) { texts[at] = one.text(); }));
    EXPECT_EQ(group.wake_fd(), wake_fd);
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
  grouped_pump busy =
      group.add(busy_socket, [&](datagram&) { order += 'b'; }, {.budget_datagrams = 3, .budget_time = 10s});
  grouped_pump quiet = group.add(quiet_socket, [&](datagram&) { order += 'q'; });
  for (int sent = 0; sent < 9; ++sent) ASSERT_FALSE(busy_socket.send_to("x", busy_socket.local()));
  ASSERT_FALSE(quiet_socket.send_to("x", quiet_socket.local()));
  ASSERT_TRUE(serve_until(group, [&] { return order.size() == 10; }));
  EXPECT_EQ(order, "bbbqbbbbbb");
}

TEST_P(group_under, who_had_no_turn_comes_first_the_next_time) {
  pump_group group{{.waiter = GetParam(), .budget_time = 1ms}};
  datagram_socket busy_socket = bound(), quiet_socket = bound(), other_socket = bound();
  std::string order;
  grouped_pump busy = group.add(busy_socket, [&](datagram&) { order += 'b', std::this_thread::sleep_for(2ms); },
                                {.budget_datagrams = 1});
  grouped_pump quiet = group.add(quiet_socket, [&](datagram&) { order += 'q'; });
  grouped_pump other = group.add(other_socket, [&](datagram&) { order += 'o'; });
  for (int sent = 0; sent < 5; ++sent) ASSERT_FALSE(busy_socket.send_to("x", busy_socket.local()));
  ASSERT_FALSE(quiet_socket.send_to("x", quiet_socket.local()));
  ASSERT_FALSE(other_socket.send_to("x", other_socket.local()));
  ASSERT_TRUE(serve_until(group, [&] { return order.size() == 7; }));
  EXPECT_LE(order.find('q'), 2u) << order;  // one turn of each that is before it, and no more
  EXPECT_LE(order.find('o'), 3u) << order;
}

TEST_P(group_under, pumps_that_pause_one_after_the_other_all_go_on) {
  pump_group group{{.waiter = GetParam()}};
  datagram_socket first_socket = bound(), second_socket = bound();
  int received = 0;
  grouped_pump first = group.add(first_socket, [&](datagram&) { ++received; });
  grouped_pump second = group.add(second_socket, [&](datagram&) { ++received; });
  settle(group);
  for (datagram_socket* const socket : {&first_socket, &second_socket}) {
    const fault::injection refused{{.call = "recvfrom", .error = ENOMEM, .times = 1, .fd = socket->fd()}};
    ASSERT_FALSE(socket->send_to("x", socket->local()));
    ASSERT_TRUE(serve_until(group, [&] { return refused.hits() == 1; }));
    std::this_thread::sleep_for(10ms);  // the second pause begins within the first, and ends after it
  }
  EXPECT_TRUE(serve_until(group, [&] { return received == 2; }));
}

TEST_P(group_under, pumps_that_come_and_go_leave_no_memory_behind) {
  pump_group group{{.waiter = GetParam()}};
  datagram_socket socket = bound();
  const auto come_and_go = [&](int times) {
    for (int time = 0; time < times; ++time) static_cast<void>(group.add(socket, [](datagram&) {}));
  };
  come_and_go(100);
  const auto before = ::mallinfo2().uordblks;
  come_and_go(20'000);
  EXPECT_LT(::mallinfo2().uordblks, before + 100'000);  // a sanitizer's allocator tells 0
}

TEST_P(group_under, the_groups_budget_of_time_ends_a_dispatch_between_pumps) {
  pump_group group{{.waiter = GetParam(), .budget_time = 1ms}};
  std::vector<datagram_socket> sockets;
  for (int at = 0; at < 3; ++at) sockets.push_back(bound());
  int served = 0;
  std::vector<grouped_pump> pumps;
  for (auto& socket : sockets) {
    pumps.push_back(group.add(socket, [&](datagram&) { ++served, std::this_thread::sleep_for(2ms); }));
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
  grouped_pump first, second;
  std::string payload_after;
  bool second_served = false;
  first = group.add(first_socket,
                    [&](datagram& one) {
                      // A larger receive limit wants a larger buffer; this datagram's must stay.
                      second = group.add(second_socket, [&](datagram&) { second_served = true; },
                                         {.receive_limit = 1'000'000});
                      payload_after = one.text();
                      first = {};
                    },
                    {.receive_limit = 100});
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
  grouped_pump told = group.add(told_socket, [&](datagram& one) {
    ++told_served;
    EXPECT_EQ(one.to, told_socket.local());
    EXPECT_EQ(one.ecn, ecn::ect0);
    EXPECT_TRUE(one.receive_time);
    one.source = {.local = one.to, .interface_index = 7};  // a handler may write to its datagram
  });
  grouped_pump plain = group.add(plain_socket, [&](datagram& one) {
    ++plain_served;
    EXPECT_TRUE(one.to.is_none());
    EXPECT_EQ(one.interface_index, 0u);
    EXPECT_TRUE(one.source.local.is_none());
    EXPECT_EQ(one.source.interface_index, 0u);
    EXPECT_EQ(one.ecn, ecn::not_ect);
    EXPECT_FALSE(one.receive_time);
    EXPECT_EQ(one.socket, &plain_socket);
  });
  for (int round = 1; round <= 3; ++round) {
    ASSERT_FALSE(plain_socket.send_to("x", told_socket.local(), {.ecn = ecn::ect0}));
    ASSERT_FALSE(told_socket.send_to("x", plain_socket.local()));
    ASSERT_TRUE(serve_until(group, [&] { return told_served == round && plain_served == round; }));
    settle(group);
  }
}

TEST_P(group_under, run_ends_when_every_pump_has_stopped_and_at_once_without_pumps) {
  pump_group group{{.waiter = GetParam()}};
  EXPECT_FALSE(group.run());
  datagram_socket first_socket = bound(), second_socket = bound();
  grouped_pump first = group.add(first_socket, [&](datagram&) { first.stop(); });
  grouped_pump second = group.add(second_socket, [&](datagram&) { second.stop(); });
  ASSERT_FALSE(first_socket.send_to("x", first_socket.local()));
  ASSERT_FALSE(first_socket.send_to("x", second_socket.local()));
  EXPECT_FALSE(group.run());
  EXPECT_EQ(group.size(), 0u);
}

TEST_P(group_under, request_stop_ends_all_pumps_and_a_pumps_own_only_that_one) {
  pump_group group{{.waiter = GetParam()}};
  datagram_socket first_socket = bound(), second_socket = bound();
  grouped_pump first = group.add(first_socket, [](datagram&) {});
  grouped_pump second = group.add(second_socket, [](datagram&) {});
  settle(group);
  first.request_stop();
  ASSERT_TRUE(serve_until(group, [&] { return first.stopped(); }));
  EXPECT_FALSE(second.stopped());
  std::thread other{[&] { group.request_stop(); }};
  EXPECT_FALSE(group.run());
  other.join();
  EXPECT_TRUE(second.stopped());
}

TEST_P(group_under, pumps_that_bring_answers_stop_when_the_tickets_of_the_others_are_back) {
  pump_group group{{.waiter = GetParam()}};
  datagram_socket work_socket = bound(), answers_socket = bound();
  ticket held;
  int answers = 0;
  grouped_pump work = group.add(work_socket, [&](datagram& one) { held = one.hold(); });
  grouped_pump brings = group.add(answers_socket, [&](datagram&) { ++answers; }, {.role = pump_role::answers});
  ASSERT_FALSE(work_socket.send_to("x", work_socket.local()));
  ASSERT_TRUE(serve_until(group, [&] { return static_cast<bool>(held); }));
  group.request_stop();
  ASSERT_TRUE(serve_until(group, [&] { return work.stopped(); }));
  settle(group);
  EXPECT_FALSE(brings.stopped());
  ASSERT_FALSE(work_socket.send_to("x", answers_socket.local()));
  ASSERT_TRUE(serve_until(group, [&] { return answers == 1; }));
  EXPECT_FALSE(brings.stopped());
  std::thread elsewhere{[&] { held.release(); }};
  EXPECT_TRUE(serve_until(group, [&] { return brings.stopped(); }));
  elsewhere.join();
  EXPECT_EQ(group.size(), 0u);
}

TEST_P(group_under, run_goes_on_with_answers_until_the_last_of_several_tickets_is_back) {
  pump_group group{{.waiter = GetParam()}};
  datagram_socket work_socket = bound(), answers_socket = bound();
  std::vector<ticket> held;
  grouped_pump work = group.add(work_socket, [&](datagram& one) {
    held.push_back(one.hold());
    if (held.size() < 3) return;
    group.request_stop();
    for (int answer = 0; answer < 3; ++answer) ASSERT_FALSE(work_socket.send_to("x", answers_socket.local()));
  });
  grouped_pump brings = group.add(answers_socket, [&](datagram&) { held.pop_back(); }, {.role = pump_role::answers});
  for (int sent = 0; sent < 3; ++sent) ASSERT_FALSE(work_socket.send_to("x", work_socket.local()));
  EXPECT_FALSE(group.run());
  EXPECT_TRUE(held.empty());
  EXPECT_TRUE(work.stopped() && brings.stopped());
}

TEST_P(group_under, without_tickets_pumps_that_bring_answers_stop_with_the_others) {
  pump_group group{{.waiter = GetParam()}};
  datagram_socket work_socket = bound(), answers_socket = bound();
  const grouped_pump work = group.add(work_socket, [](datagram&) {});
  const grouped_pump brings = group.add(answers_socket, [](datagram&) {}, {.role = pump_role::answers});
  settle(group);
  group.request_stop();
  EXPECT_FALSE(group.run());
  EXPECT_TRUE(work.stopped() && brings.stopped());
  datagram_socket alone_socket = bound();
  const grouped_pump alone = group.add(alone_socket, [](datagram&) {}, {.role = pump_role::answers});
  group.request_stop();
  EXPECT_TRUE(serve_until(group, [&] { return alone.stopped(); }));
}

TEST_P(group_under, a_second_pump_on_the_same_socket_is_refused) {
  pump_group group{{.waiter = GetParam()}};
  datagram_socket socket = bound();
  {
    const grouped_pump first = group.add(socket, [](datagram&) {});
    EXPECT_THROW(static_cast<void>(group.add(socket, [](datagram&) {})), std::invalid_argument);
    EXPECT_EQ(group.size(), 1u);
  }
  int served = 0;
  const grouped_pump again = group.add(socket, [&](datagram&) { ++served; });
  ASSERT_FALSE(socket.send_to("x", socket.local()));
  EXPECT_TRUE(serve_until(group, [&] { return served == 1; }));
}

TEST_P(group_under, a_pump_that_fails_leaves_the_others_in_service) {
  pump_group group{{.waiter = GetParam()}};
  datagram_socket broken_socket = bound(), good_socket = bound();
  int fatal = 0, served = 0;
  grouped_pump broken =
      group.add(broken_socket, [](datagram&) {},
                {.on_error = [&](const receive_error& error) { fatal += error.what == receive_error::kind::fatal; }});
  grouped_pump good = group.add(good_socket, [&](datagram&) { ++served; });
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
    std::vector<grouped_pump> pumps(3);
    std::string order;
    for (std::size_t at = 0; at < 3; ++at) {
      pumps[at] = group.add(sockets[at], [&, at](datagram&) {
        order += std::to_string(at);
        pumps[static_cast<std::size_t>(victim)] = {};
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
  grouped_pump broken =
      group.add(socket, [](datagram&) {}, {.on_error = [](const receive_error&) { throw std::runtime_error{"x"}; }});
  ::close(socket.release());
  EXPECT_THROW(static_cast<void>(group.run()), std::runtime_error);
  EXPECT_EQ(group.size(), 0u);
  EXPECT_EQ(group.run(), std::errc::bad_file_descriptor);
}

TEST_P(group_under, options_out_of_range_are_refused_and_leave_nothing_behind) {
  pump_group group{{.waiter = GetParam()}};
  EXPECT_EQ(group.waiter().kind, GetParam());
  datagram_socket socket = bound();
  EXPECT_THROW(static_cast<void>(group.add(socket, [](datagram&) {}, {.budget_datagrams = 0})), std::invalid_argument);
  EXPECT_EQ(group.size(), 0u);
  const grouped_pump member = group.add(socket, [](datagram&) {});
  EXPECT_EQ(group.size(), 1u);
  EXPECT_THROW(pump_group{{.budget_time = 0ms}}, std::invalid_argument);
}

TEST_P(group_under, a_handle_moves_and_the_one_that_is_left_holds_no_pump) {
  pump_group group{{.waiter = GetParam()}};
  datagram_socket socket = bound(), second_socket = bound();
  int served = 0;
  grouped_pump first = group.add(socket, [&](datagram&) { ++served; });
  grouped_pump moved = std::move(first);
  EXPECT_TRUE(first.stopped());  // NOLINT(bugprone-use-after-move): what it says then
  EXPECT_EQ(first.stats().received, 0u);
  EXPECT_EQ(first.in_flight(), 0u);
  first.stop(), first.request_stop();
  EXPECT_FALSE(moved.stopped());
  ASSERT_FALSE(socket.send_to("x", socket.local()));
  ASSERT_TRUE(serve_until(group, [&] { return moved.stats().received == 1; }));
  EXPECT_EQ(served, 1);
  moved = group.add(second_socket, [](datagram&) {});
  EXPECT_EQ(group.size(), 1u) << "the pump that it held is stopped";
  const grouped_pump again = group.add(socket, [](datagram&) {});
  EXPECT_EQ(group.size(), 2u);
}

TEST_P(group_under, a_handle_that_outlives_its_group_is_stopped_and_takes_no_wake_up) {
  datagram_socket socket = bound();
  auto group = std::make_unique<pump_group>(pump_group_options{.waiter = GetParam()});
  const grouped_pump left = group->add(socket, [](datagram&) {});
  ASSERT_FALSE(group->dispatch());
  group.reset();
  EXPECT_TRUE(left.stopped());

  int served = 0;
  pump other{socket, [&](datagram&) { ++served; }, {}, GetParam()};
  ASSERT_FALSE(other.dispatch());
  ASSERT_FALSE(socket.send_to("x", socket.local()));
  ASSERT_TRUE(serve_until(other, [&] { return served == 1; }));
}

TEST_P(group_under, a_handler_that_was_moved_from_is_refused) {
  datagram_socket socket = bound();
  pump_group group{{.waiter = GetParam()}};
  handler given{[](datagram&) {}};
  const handler taken = std::move(given);
  EXPECT_THROW(static_cast<void>(group.add(socket, given)), std::invalid_argument);  // NOLINT(bugprone-use-after-move)
  EXPECT_THROW((pump{socket, given, {}, GetParam()}), std::invalid_argument);        // NOLINT(bugprone-use-after-move)
  EXPECT_FALSE(group.add(socket, taken).stopped());
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
        socket, [&](datagram&) { ++served; }, pump_options{}, GetParam()));
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
