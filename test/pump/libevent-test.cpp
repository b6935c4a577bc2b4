#include <event2/event.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <udppump/libevent.hpp>
#include <udppump/pump.hpp>
#include <udppump/pump_group.hpp>

#include "support/process.hpp"
#include "support/serve.hpp"
#include "support/sockets.hpp"
#include "support/waiters.hpp"

using namespace udppump;
using namespace std::chrono_literals;

namespace {

class libevent_under : public every_waiter {
 protected:
  ~libevent_under() override { event_base_free(base); }

  /// Runs the loop until the condition holds; false if it does not in time.
  template <class Condition>
  bool loop_until(Condition holds) {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    while (!holds() && std::chrono::steady_clock::now() < deadline) {
      const timeval at_most{.tv_sec = 0, .tv_usec = 50'000};
      event_base_loopexit(base, &at_most);
      event_base_loop(base, EVLOOP_ONCE);
    }
    return holds();
  }
  void send(const char* text) { ASSERT_FALSE(client.send(text)); }

  event_base* base = event_base_new();
  datagram_socket socket = bound();
  datagram_socket client = datagram_socket::connect(socket.local());
};
UDPPUMP_UNDER_EVERY_WAITER(libevent_under);

TEST_P(libevent_under, the_loop_serves_the_pump) {
  int received = 0;
  pump pump{socket,
            [&](datagram&) {
              if (++received == 3) event_base_loopbreak(base);
            },
            {},
            GetParam()};
  const libevent_watch watch{base, pump};
  for (int sent = 0; sent < 3; ++sent) send("x");
  EXPECT_EQ(event_base_dispatch(base), 0);
  EXPECT_EQ(received, 3);
  EXPECT_FALSE(watch.error());
}

TEST_P(libevent_under, loopbreak_in_the_handler_leaves_the_rest_for_the_next_loop) {
  int received = 0;
  pump pump{socket, [&](datagram&) { ++received, event_base_loopbreak(base); }, {.budget_datagrams = 1}, GetParam()};
  const libevent_watch watch{base, pump};
  for (int sent = 0; sent < 3; ++sent) send("x");
  for (int expected = 1; expected <= 3; ++expected) {
    ASSERT_TRUE(loop_until([&] { return received == expected; })) << expected;
  }
}

TEST_P(libevent_under, a_watch_may_be_destroyed_in_the_handler) {
  int received = 0;
  std::optional<libevent_watch> watch;
  pump pump{socket, [&](datagram&) { ++received, watch.reset(); }, {.budget_datagrams = 1}, GetParam()};
  watch.emplace(base, pump);
  send("x"), send("x");
  EXPECT_EQ(event_base_dispatch(base), 1) << "with the watch goes the last event";
  EXPECT_EQ(received, 1);
}

TEST_P(libevent_under, watch_and_pump_may_be_destroyed_in_the_handler) {
  int received = 0;
  std::optional<libevent_watch> watch;
  std::unique_ptr<pump> pump;
  pump = std::make_unique<udppump::pump>(
      socket, [&](datagram&) { ++received, watch.reset(), pump.reset(); }, pump_options{}, GetParam());
  watch.emplace(base, *pump);
  send("x"), send("x");
  EXPECT_EQ(event_base_dispatch(base), 1);
  EXPECT_EQ(received, 1);
  EXPECT_EQ(::received(socket, 0ms), "x");
}

TEST_P(libevent_under, whoever_watches_after_it_by_level_hears_no_more_than_there_is) {
  int received = 0;
  pump pump{socket, [&](datagram&) { ++received; }, {}, GetParam()};
  {
    const libevent_watch watch{base, pump};
    send("x");
    ASSERT_TRUE(loop_until([&] { return received == 1; }));
  }
  settle(pump);
  EXPECT_FALSE(readable(pump.wake_fd())) << "left readable, as for a loop that hears of edges";
}

TEST_P(libevent_under, timers_and_other_sockets_get_their_turn_under_a_flood) {
  int received = 0, ticks = 0;
  pump pump{socket,
            [&](datagram&) {
              ++received;
              send("and another");  // the queue never empties
            },
            {.budget_datagrams = 8},
            GetParam()};
  const libevent_watch watch{base, pump};
  struct context {
    event_base* base;
    int& ticks;
  } told{base, ticks};
  event* const timer = event_new(
      base, -1, EV_PERSIST,
      [](evutil_socket_t, short, void* argument) {
        auto& here = *static_cast<context*>(argument);
        if (++here.ticks == 5) event_base_loopbreak(here.base);
      },
      &told);
  const timeval each{.tv_sec = 0, .tv_usec = 1000};
  event_add(timer, &each);
  send("first");
  EXPECT_EQ(event_base_dispatch(base), 0);
  EXPECT_EQ(ticks, 5);
  EXPECT_GT(received, 0);
  event_free(timer);
}

TEST_P(libevent_under, a_watch_of_higher_priority_is_served_first) {
  event_base_priority_init(base, 3);
  datagram_socket urgent_socket = bound();
  std::string order;
  pump ordinary{socket, [&](datagram&) { order += 'o'; }, {}, GetParam()};
  pump urgent{urgent_socket, [&](datagram&) { order += 'u'; }, {}, GetParam()};
  const libevent_watch ordinary_watch{base, ordinary, {.priority = 2}};
  const libevent_watch urgent_watch{base, urgent, {.priority = 0}};
  send("x");
  ASSERT_FALSE(client.send_to("x", urgent_socket.local()));
  ASSERT_TRUE(loop_until([&] { return order.size() == 2; }));
  EXPECT_EQ(order, "uo");
  EXPECT_THROW((libevent_watch{base, urgent, {.priority = 7}}), std::system_error);
}

TEST_P(libevent_under, an_exception_breaks_the_loop_and_is_thrown_again_outside_of_it) {
  int received = 0;
  pump pump{socket,
            [&](datagram&) {
              if (++received == 1) throw std::runtime_error{"out of the handler"};
            },
            {},
            GetParam()};
  libevent_watch watch{base, pump};
  send("x"), send("x");
  EXPECT_EQ(event_base_dispatch(base), 0);
  EXPECT_TRUE(event_base_got_break(base));
  EXPECT_THROW(watch.rethrow(), std::runtime_error);
  EXPECT_NO_THROW(watch.rethrow());
  EXPECT_TRUE(loop_until([&] { return received == 2; }));
}

TEST_P(libevent_under, a_pump_that_fails_goes_off_the_loop) {
  pump pump{socket, [](datagram&) {}, {}, GetParam()};
  const libevent_watch watch{base, pump};
  ::close(socket.release());
  EXPECT_EQ(event_base_dispatch(base), 1) << "no events are left";
  EXPECT_EQ(watch.error(), std::errc::bad_file_descriptor);
}

TEST_P(libevent_under, a_forked_child_reinitialises_the_base_and_makes_a_new_watch) {
  int received = 0;
  pump pump{socket, [&](datagram&) { ++received; }, {}, GetParam()};
  std::optional<libevent_watch> watch;
  watch.emplace(base, pump);
  send("before");
  ASSERT_TRUE(loop_until([&] { return received == 1; }));
  child_process child{[&] {
    if (event_reinit(base) != 0) return 1;
    pump.after_fork();
    watch.reset();
    watch.emplace(base, pump);
    if (client.send("in the child")) return 2;
    return loop_until([&] { return received == 2; }) ? 0 : 3;
  }};
  EXPECT_EQ(child.join(), 0);
  send("in the parent");
  EXPECT_TRUE(loop_until([&] { return received == 2; }));
}

TEST_P(libevent_under, a_forgetful_child_finds_its_watch_off_the_loop_and_the_parent_serves_on) {
  int received = 0;
  pump pump{socket, [&](datagram&) { ++received; }, {}, GetParam()};
  const libevent_watch watch{base, pump};
  send("before");
  ASSERT_TRUE(loop_until([&] { return received == 1; }));
  child_process child{[&] {
    event_reinit(base);
    // The wake_fd is the parent's too, so this wakes both; the child must neither serve nor spin.
    if (client.send("wakes both")) return 1;
    event_base_dispatch(base);  // ends with the timer that loop_until() left, or already for want of events
    if (event_base_dispatch(base) != 1) return 2;
    return watch.error() == errc::made_before_fork ? 0 : 3;
  }};
  EXPECT_EQ(child.join(), 0);
  send("after");
  EXPECT_TRUE(loop_until([&] { return received == 3; }));
}

TEST_P(libevent_under, while_one_handler_runs_the_other_sockets_datagram_waits) {  // as documented
  datagram_socket second_socket = bound();
  std::string order;
  pump first{socket,
             [&](datagram&) {
               EXPECT_FALSE(client.send_to("x", second_socket.local()));
               order += "[first]";
             },
             {},
             GetParam()};
  pump second{second_socket, [&](datagram&) { order += "[second]"; }, {}, GetParam()};
  const libevent_watch first_watch{base, first}, second_watch{base, second};
  send("x");
  ASSERT_TRUE(loop_until([&] { return second.stats().received == 1; }));
  EXPECT_EQ(order, "[first][second]");
}

TEST_P(libevent_under, a_group_is_watched_like_a_pump) {
  pump_group group{{.waiter = GetParam()}};
  int received = 0;
  datagram_socket second_socket = bound();
  grouped_pump first = group.add(socket, [&](datagram&) { ++received; });
  grouped_pump second = group.add(second_socket, [&](datagram&) { ++received; });
  const libevent_watch watch{base, group};
  send("x");
  ASSERT_FALSE(client.send_to("x", second_socket.local()));
  EXPECT_TRUE(loop_until([&] { return received == 2; }));
}

}  // namespace
