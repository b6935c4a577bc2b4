// pump_options::max_age: what has waited too long is dropped, and nothing else is.
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "support/fault.hpp"
#include "support/serve.hpp"
#include "support/sockets.hpp"
#include "support/stamping.hpp"
#include "support/waiters.hpp"
#include "udppump/pump.hpp"

using namespace udppump;
using namespace std::chrono_literals;

namespace {

using texts = std::vector<std::string>;

/// Longer than any machine takes for what these tests do between sending and serving; what is to expire is let wait
/// for `short_age` and more.
constexpr auto long_age = 60s;
constexpr auto short_age = 30ms;

/// A pump that keeps what its handler gets, and what expires.
struct aged {
  explicit aged(datagram_socket& socket, pump_options options, waiter_kind waiter = waiter_kind::automatic)
      : pump{socket, [this](datagram& one) { served.emplace_back(one.text()); }, watched(std::move(options)), waiter} {}

  pump_options watched(pump_options options) {
    options.on_expired = [this](datagram& one, std::chrono::nanoseconds age) {
      expired.emplace_back(one.text());
      ages.push_back(age);
    };
    return options;
  }
  bool until(std::size_t count) {
    return serve_until(pump, [&] { return served.size() + expired.size() >= count; });
  }

  texts served = {}, expired = {};
  std::vector<std::chrono::nanoseconds> ages = {};
  class pump pump;
};

struct max_age : every_waiter {
  const stamping on = {};
};
struct max_age_of_pump : testing::Test {
  const stamping on = {};
};

TEST_P(max_age, what_has_waited_longer_is_dropped_and_counted_and_told_and_what_is_fresh_is_served) {
  auto socket = bound();
  const auto client = bound();
  aged one{socket, {.max_age = short_age}, in_loop(GetParam())};
  settle(one.pump);
  for (const char* text : {"a", "b", "c"}) ASSERT_FALSE(client.send_to(text, socket.local()));
  std::this_thread::sleep_for(2 * short_age);
  ASSERT_TRUE(one.until(3));
  EXPECT_EQ(one.expired, (texts{"a", "b", "c"}));
  EXPECT_EQ(one.served, texts{});
  for (const auto age : one.ages) {
    EXPECT_GE(age, 2 * short_age);
    EXPECT_LT(age, long_age);
  }
  EXPECT_EQ(one.pump.stats().expired, 3u);
  EXPECT_EQ(one.pump.stats().received, 0u);
  EXPECT_EQ(one.pump.stats().bytes, 0u);

  // Until one is quick enough: this machine may be slow.
  EXPECT_TRUE(eventually([&] {
    EXPECT_FALSE(client.send_to("fresh", socket.local()));
    EXPECT_TRUE(one.until(one.served.size() + one.expired.size() + 1));
    return !one.served.empty();
  }));
}

TEST_P(max_age, run_drops_it_too) {
  auto socket = bound();
  const auto client = bound();
  texts served;
  std::uint64_t expired = 0;
  class pump pump {
    socket,
        [&](datagram& one) {
          served.emplace_back(one.text());
          if (one.text() == "end") pump.stop();
        },
        {.max_age = long_age, .on_expired = [&](datagram&, auto) { ++expired; }}, GetParam()
  };
  ASSERT_FALSE(client.send_to("old", socket.local()));
  std::thread later{[&] {
    std::this_thread::sleep_for(20ms);
    EXPECT_FALSE(client.send_to("end", socket.local()));
  }};
  EXPECT_FALSE(pump.run());
  later.join();
  EXPECT_EQ(served, (texts{"old", "end"}));
  EXPECT_EQ(expired, 0u);
}

TEST_P(max_age, a_step_of_the_clock_drops_nothing_that_is_fresh) {
  for (const auto step : {std::chrono::nanoseconds{1h}, std::chrono::nanoseconds{-1h}}) {
    auto socket = bound();
    const auto client = bound();
    aged one{socket, {.max_age = long_age}, in_loop(GetParam())};
    ASSERT_FALSE(client.send_to("first", socket.local()));
    ASSERT_TRUE(one.until(1));
    ASSERT_FALSE(client.send_to("before", socket.local()));
    const fault::wall_clock_step stepped{step};
    ASSERT_FALSE(client.send_to("after", socket.local()));
    ASSERT_TRUE(one.until(3));
    EXPECT_EQ(one.served, (texts{"first", "before", "after"})) << step.count();
  }
}

TEST_P(max_age, a_step_of_the_clock_keeps_nothing_that_is_old) {
  for (const auto step : {std::chrono::nanoseconds{1h}, std::chrono::nanoseconds{-1h}}) {
    auto socket = bound();
    const auto client = bound();
    aged one{socket, {.max_age = short_age}, in_loop(GetParam())};
    ASSERT_FALSE(client.send_to("first", socket.local()));
    ASSERT_TRUE(one.until(1));
    const std::size_t before = one.expired.size();
    ASSERT_FALSE(client.send_to("before", socket.local()));
    const fault::wall_clock_step stepped{step};
    ASSERT_FALSE(client.send_to("after", socket.local()));
    std::this_thread::sleep_for(2 * short_age);
    ASSERT_TRUE(one.until(3));
    EXPECT_EQ(one.expired.size(), before + 2) << step.count();
    for (const auto age : one.ages) EXPECT_LT(age, long_age) << step.count();
  }
}

UDPPUMP_UNDER_EVERY_WAITER(max_age);

TEST_F(max_age_of_pump, the_time_is_asked_for_only_where_something_may_have_waited_half_as_long) {
  auto socket = bound();
  const auto client = bound();
  aged one{socket, {.max_age = long_age}};
  settle(one.pump);
  const fault::injection asked{{.call = "recvmsg", .times = 0, .fd = socket.fd()}};
  const fault::injection taken{{.call = "recvfrom", .times = 0, .fd = socket.fd()}};
  for (int count = 0; count < 100; ++count) ASSERT_FALSE(client.send_to("x", socket.local()));
  ASSERT_TRUE(one.until(100));
  EXPECT_EQ(asked.seen(), 0) << "the queue was empty a moment ago";
  EXPECT_GE(taken.seen(), 100);
}

TEST_F(max_age_of_pump, the_first_of_a_queue_tells_how_old_those_behind_it_may_be) {
  auto socket = bound();
  const auto client = bound();
  const fault::injection asked{{.call = "recvmsg", .times = 0, .fd = socket.fd()}};
  aged one{socket, {.max_age = long_age}};
  for (int count = 0; count < 50; ++count) ASSERT_FALSE(client.send_to("x", socket.local()));
  ASSERT_TRUE(one.until(50));
  EXPECT_EQ(one.served.size(), 50u);
  EXPECT_EQ(asked.seen(), 1);
}

TEST_F(max_age_of_pump, without_it_no_time_is_asked_for_and_no_stamp_is_made) {
  auto socket = bound();
  int stamped = 0;
  socklen_t size = sizeof stamped;
  {
    const aged none{socket, {}};
    ASSERT_EQ(::getsockopt(socket.fd(), SOL_SOCKET, SO_TIMESTAMP, &stamped, &size), 0);
    EXPECT_EQ(stamped, 0);
  }
  const aged one{socket, {.max_age = long_age}};
  ASSERT_EQ(::getsockopt(socket.fd(), SOL_SOCKET, SO_TIMESTAMP, &stamped, &size), 0);
  EXPECT_EQ(stamped, 1);
}

TEST_F(max_age_of_pump, the_receive_time_is_told_only_if_the_socket_was_asked_for_it) {
  for (const bool wanted : {false, true}) {
    auto socket = bound({.receive_time = wanted});
    const auto client = bound();
    std::vector<bool> told;
    class pump pump {
      socket, [&](datagram& one) { told.push_back(one.receive_time.has_value()); }, { .max_age = long_age }
    };
    for (int count = 0; count < 3; ++count) ASSERT_FALSE(client.send_to("x", socket.local()));
    ASSERT_TRUE(serve_until(pump, [&] { return told.size() == 3; }));
    EXPECT_EQ(told, std::vector<bool>(3, wanted));
  }
}

TEST_F(max_age_of_pump, it_holds_where_other_control_data_comes_along_and_on_unix_sockets) {
  const auto name = "unix:@udppump-max-age-" + std::to_string(::getpid());
  for (const auto& where : {std::string{"0.0.0.0:0"}, name}) {
    auto socket = bound({}, where.c_str());
    const bool is_unix = socket.family() == AF_UNIX;
    const auto client = datagram_socket::connect(is_unix ? socket.local() : with_port_of("127.0.0.1", socket));
    aged one{socket, {.max_age = short_age}};
    settle(one.pump);
    ASSERT_FALSE(client.send("old"));
    std::this_thread::sleep_for(2 * short_age);
    ASSERT_TRUE(one.until(1));
    EXPECT_EQ(one.expired, texts{"old"}) << where;
  }
}

TEST_F(max_age_of_pump, each_of_joined_datagrams_is_counted_and_told) {
  auto socket = bound_for_joined();
  if (!socket.control().segments) GTEST_SKIP() << "UDP_GRO is unknown here";
  const auto client = bound();
  aged one{socket, {.max_age = short_age}};
  settle(one.pump);
  ASSERT_FALSE(client.send_to("aaabbbc", socket.local(), {.segment_size = 3}));
  std::this_thread::sleep_for(2 * short_age);
  ASSERT_TRUE(one.until(3));
  EXPECT_EQ(one.expired, (texts{"aaa", "bbb", "c"}));
  EXPECT_EQ(one.pump.stats().expired, 3u);
}

TEST_F(max_age_of_pump, on_expired_may_answer_and_stop_the_pump_and_what_it_throws_is_the_handlers_rule) {
  auto socket = bound();
  const auto client = bound();
  int thrown = 0;
  int calls = 0;
  class pump pump {
    socket, [](datagram&) { FAIL(); }, {
      .max_age = short_age,
      .on_expired =
          [&](datagram& one, std::chrono::nanoseconds) {
            if (++calls == 1) throw std::runtime_error{"x"};
            EXPECT_FALSE(one.reply("busy"));
            pump.stop();
          },
      .on_exception = [&](std::exception_ptr) { ++thrown; }
    }
  };
  settle(pump);
  for (const char* text : {"a", "b", "c"}) ASSERT_FALSE(client.send_to(text, socket.local()));
  std::this_thread::sleep_for(2 * short_age);
  static_cast<void>(serve_until(pump, [&] { return pump.stopped(); }));
  EXPECT_EQ(calls, 2);
  EXPECT_EQ(thrown, 1);
  EXPECT_EQ(pump.stats().expired, 2u);
  EXPECT_EQ(received(client), "busy");
  EXPECT_EQ(received(socket), "c") << "it stays for others";
}

TEST_F(max_age_of_pump, a_flood_of_what_is_too_old_ends_turns_as_any_other) {
  auto socket = bound({.receive_buffer = 1 << 20});
  const auto client = bound();
  aged one{socket, {.budget_datagrams = 4, .max_age = short_age}};
  settle(one.pump);
  for (int count = 0; count < 12; ++count) ASSERT_FALSE(client.send_to("x", socket.local()));
  std::this_thread::sleep_for(2 * short_age);
  ASSERT_TRUE(eventually([&] { return readable(one.pump.wake_fd()); }));
  EXPECT_FALSE(one.pump.dispatch());
  EXPECT_EQ(one.expired.size(), 4u);
  EXPECT_TRUE(one.until(12));
}

TEST_F(max_age_of_pump, stamps_that_another_process_turned_off_are_turned_on_again) {
  auto socket = bound();
  const auto client = bound();
  aged one{socket, {.max_age = 1ns}};
  settle(one.pump);
  const int off = 0;
  ASSERT_EQ(::setsockopt(socket.fd(), SOL_SOCKET, SO_TIMESTAMP, &off, sizeof off), 0);
  ASSERT_FALSE(client.send_to("unstamped", socket.local()));
  ASSERT_TRUE(one.until(1));
  EXPECT_EQ(one.served, texts{"unstamped"}) << "nobody knows how old it is";
  int stamped = 0;
  socklen_t size = sizeof stamped;
  ASSERT_EQ(::getsockopt(socket.fd(), SOL_SOCKET, SO_TIMESTAMP, &stamped, &size), 0);
  EXPECT_EQ(stamped, 1);
}

TEST_F(max_age_of_pump, what_cannot_be_is_refused_with_its_reason) {
  auto socket = bound();
  EXPECT_THROW((aged{socket, {.max_age = -1ns}}), std::invalid_argument);
  const fault::injection refused{{.call = "setsockopt", .error = EPERM, .fd = socket.fd()}};
  try {
    const aged one{socket, {.max_age = long_age}};
    ADD_FAILURE() << "not refused";
  } catch (const std::system_error& error) {
    EXPECT_NE(std::string{error.what()}.find("max_age"), std::string::npos) << error.what();
  }
}

}  // namespace
