// pump_options::client_limit: what is over a client's limit is dropped before the handler, and nothing else is.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "support/private_folder.hpp"
#include "support/serve.hpp"
#include "support/sockets.hpp"
#include "support/stamping.hpp"
#include "support/waiters.hpp"
#include "udppump/pump.hpp"

using namespace udppump;
using namespace std::chrono_literals;

namespace {

using texts = std::vector<std::string>;

/// So slow that nothing comes back while a test runs.
client_rate burst_of(std::size_t burst) { return {.rate = 0.005, .burst = burst}; }

/// A pump that keeps what its handler gets, and what is over the limit.
struct limited {
  explicit limited(datagram_socket& socket, pump_options options, waiter_kind waiter = waiter_kind::automatic)
      : pump{socket, [this](datagram& one) { served.emplace_back(one.text()); }, watched(std::move(options)), waiter} {}

  pump_options watched(pump_options options) {
    options.on_limited = [this](datagram& one) { dropped.emplace_back(one.text()); };
    return options;
  }
  bool until(std::size_t count) {
    return serve_until(pump, [&] { return served.size() + dropped.size() >= count; });
  }

  texts served = {}, dropped = {};
  class pump pump;
};

struct client_limits : every_waiter {};

TEST_P(client_limits, what_is_over_it_is_dropped_and_counted_and_told_and_others_are_served) {
  auto socket = bound({}, "0.0.0.0:0");
  const auto server = with_port_of("127.0.0.1", socket);
  const auto many = bound(), few = bound({}, "127.0.0.2:0");
  limited one{socket, {.client_limit = burst_of(2)}, in_loop(GetParam())};
  for (const char* text : {"a", "b", "c", "d"}) ASSERT_FALSE(many.send_to(text, server));
  ASSERT_FALSE(few.send_to("few", server));
  ASSERT_TRUE(one.until(5));
  EXPECT_EQ(one.served, (texts{"a", "b", "few"}));
  EXPECT_EQ(one.dropped, (texts{"c", "d"}));
  EXPECT_EQ(one.pump.stats().limited, 2u);
  EXPECT_EQ(one.pump.stats().received, 3u);
  EXPECT_EQ(one.pump.stats().bytes, 5u);
}

TEST_P(client_limits, run_holds_to_it_and_the_rate_gives_back) {
  auto socket = bound();
  const auto client = bound();
  std::size_t served = 0;
  class pump pump {
    socket,
        [&](datagram&) {
          if (++served == 5) pump.stop();
        },
        {.client_limit = client_rate{.rate = 500, .burst = 1}}, GetParam()
  };
  std::atomic<bool> is_over{false};
  std::thread sender{[&] {
    while (!is_over) {
      for (int count = 0; count < 10; ++count) static_cast<void>(client.send_to("x", socket.local()));
      std::this_thread::sleep_for(1ms);
    }
  }};
  const auto began = std::chrono::steady_clock::now();
  EXPECT_FALSE(pump.run());
  EXPECT_GE(std::chrono::steady_clock::now() - began, 4 * 2ms - 1ms);
  is_over = true;
  sender.join();
  EXPECT_EQ(served, 5u);
  EXPECT_GT(pump.stats().limited, 0u);
}

UDPPUMP_UNDER_EVERY_WAITER(client_limits);

TEST(client_limit_of_pump, pumps_that_are_given_the_same_one_count_together) {
  auto socket = bound(), other = bound();
  const auto client = bound();
  const client_limit both{burst_of(3)};
  limited one{socket, {.client_limit = both}}, two{other, {.client_limit = both}};
  for (int count = 0; count < 2; ++count) ASSERT_FALSE(client.send_to("x", socket.local()));
  ASSERT_TRUE(one.until(2));
  for (int count = 0; count < 2; ++count) ASSERT_FALSE(client.send_to("x", other.local()));
  ASSERT_TRUE(two.until(2));
  EXPECT_EQ(one.served.size(), 2u);
  EXPECT_EQ(two.served.size(), 1u);
  EXPECT_EQ(two.dropped.size(), 1u);
}

TEST(client_limit_of_pump, what_is_ignored_uses_up_nothing) {
  auto socket = bound();
  const auto client = bound(), ignored = bound();
  limited one{socket, {.ignore_from = {.ports = {ignored.local().port()}}, .client_limit = burst_of(1)}};
  for (int count = 0; count < 3; ++count) ASSERT_FALSE(ignored.send_to("ignored", socket.local()));
  ASSERT_FALSE(client.send_to("served", socket.local()));
  ASSERT_FALSE(client.send_to("limited", socket.local()));
  ASSERT_TRUE(one.until(2));
  EXPECT_EQ(one.served, texts{"served"});
  EXPECT_EQ(one.pump.stats().ignored, 3u);
  EXPECT_EQ(one.pump.stats().limited, 1u);
}

TEST(client_limit_of_pump, what_is_over_it_and_too_old_is_told_as_limited_alone) {
  const stamping on;
  auto socket = bound();
  const auto client = bound();
  std::size_t expired = 0;
  limited one{socket, {.max_age = 1ms, .client_limit = burst_of(1), .on_expired = [&](datagram&, auto) { ++expired; }}};
  settle(one.pump);
  for (int count = 0; count < 3; ++count) ASSERT_FALSE(client.send_to("old", socket.local()));
  std::this_thread::sleep_for(5ms);
  ASSERT_TRUE(serve_until(one.pump, [&] { return one.dropped.size() + expired == 3; }));
  EXPECT_EQ(expired, 1u) << "the first is no more than its client may send";
  EXPECT_EQ(one.pump.stats().limited, 2u);
  EXPECT_EQ(one.pump.stats().expired, 1u);
  EXPECT_EQ(one.pump.stats().received, 0u);
}

TEST(client_limit_of_pump, unix_sockets_have_no_limit) {
  const private_folder folder;
  auto socket = bound({}, ("unix:" + (folder / "server")).c_str());
  const auto client = bound({}, ("unix:" + (folder / "client")).c_str());
  limited one{socket, {.client_limit = burst_of(1)}};
  for (int count = 0; count < 5; ++count) {
    ASSERT_FALSE(client.send_to("x", socket.local()));
    ASSERT_TRUE(one.until(one.served.size() + 1));
  }
  EXPECT_EQ(one.served.size(), 5u);
}

TEST(client_limit_of_pump, joined_datagrams_are_dropped_together_and_each_is_counted_and_told) {
  auto socket = bound_for_joined();
  if (!socket.control().segments) GTEST_SKIP() << "UDP_GRO is unknown here";
  const auto client = bound();
  limited one{socket, {.client_limit = burst_of(1)}};
  ASSERT_FALSE(client.send_to("first", socket.local()));
  ASSERT_TRUE(one.until(1));
  ASSERT_FALSE(client.send_to("aaabbbc", socket.local(), {.segment_size = 3}));
  ASSERT_TRUE(one.until(4));
  EXPECT_EQ(one.served, texts{"first"});
  EXPECT_EQ(one.dropped, (texts{"aaa", "bbb", "c"}));
  EXPECT_EQ(one.pump.stats().limited, 3u);
}

TEST(client_limit_of_pump, on_limited_may_answer_and_stop_the_pump_and_what_it_throws_is_the_handlers_rule) {
  auto socket = bound();
  const auto client = bound();
  std::size_t told = 0, thrown = 0;
  class pump pump {
    socket, [](datagram&) {}, {
      .client_limit = burst_of(1),
      .on_limited =
          [&](datagram& one) {
            ++told;
            if (one.text() == "throw") throw std::runtime_error{"thrown"};
            if (one.text() == "slip") one.reply("ask by TCP");
            if (one.text() == "stop") pump.stop();
          },
      .on_exception = [&](std::exception_ptr) { ++thrown; },
    }
  };
  for (const char* text : {"served", "throw", "slip", "stop", "after"}) {
    ASSERT_FALSE(client.send_to(text, socket.local()));
  }
  ASSERT_TRUE(serve_until(pump, [&] { return told == 3; }));
  static_cast<void>(pump.dispatch());
  EXPECT_EQ(told, 3u);
  EXPECT_EQ(thrown, 1u);
  EXPECT_EQ(pump.stats().limited, 3u);
  EXPECT_EQ(received(client), "ask by TCP");
}

TEST(client_limit_of_pump, a_flood_over_it_ends_turns_as_any_other) {
  auto socket = bound({.receive_buffer = 1 << 20});
  const auto client = bound();
  limited one{socket, {.budget_datagrams = 4, .client_limit = burst_of(1)}};
  for (int count = 0; count < 9; ++count) ASSERT_FALSE(client.send_to("x", socket.local()));
  settle(one.pump);
  EXPECT_EQ(one.dropped.size(), 8u);
  EXPECT_GE(one.pump.stats().budget_yields, 2u);
}

TEST(client_limit_of_pump, batches_hold_to_it) {
  auto socket = bound({.receive_buffer = 4 << 20}, "0.0.0.0:0");
  const auto server = with_port_of("127.0.0.1", socket);
  const auto many = bound(), few = bound({}, "127.0.0.2:0");
  std::size_t served = 0;
  class pump pump {
    socket, [&](datagram&) { ++served; }, { .client_limit = burst_of(300) }
  };
  std::size_t sent = 0;
  while (sent < 1000) {  // brief handlers, and more than four that wait: then the pump takes batches
    for (int count = 0; count < 49; ++count) ASSERT_FALSE(many.send_to("many", server));
    ASSERT_FALSE(few.send_to("few", server));
    sent += 50;
    ASSERT_TRUE(serve_until(pump, [&] { return served + pump.stats().limited == sent; }));
  }
  EXPECT_EQ(served, 300u + 20u);
}

TEST(client_limit_of_pump, forged_sources_by_the_thousand_leave_the_honest_ones_alone) {
  auto socket = bound({.receive_buffer = 4 << 20}, "0.0.0.0:0");
  const auto server = with_port_of("127.0.0.1", socket);
  limited one{socket, {.client_limit = burst_of(2)}};
  std::size_t sent = 0;
  for (unsigned host = 0; host < 2000; ++host) {
    const auto from = "127." + std::to_string(1 + host % 200) + '.' + std::to_string(host / 200) + ".1:0";
    ASSERT_FALSE(bound({}, from.c_str()).send_to("forged", server));
    if (++sent % 100 == 0) {
      ASSERT_TRUE(one.until(sent));
    }
  }
  ASSERT_EQ(one.served.size(), 2000u);
  const auto honest = bound();
  for (int count = 0; count < 3; ++count) ASSERT_FALSE(honest.send_to("honest", server));
  ASSERT_TRUE(one.until(sent + 3));
  EXPECT_EQ(one.served.size(), 2002u);
  EXPECT_EQ(one.dropped, texts{"honest"});
}

TEST(client_limit_told, slowly_keeps_no_more_than_a_few_from_other_workers) {
  auto socket = bound();
  const auto client = bound();
  bool is_slow = false;
  std::size_t heard = 0;
  class pump pump {
    socket, [](datagram&) {}, {
      .budget_time = 1ms, .client_limit = burst_of(1), .on_limited = [&](datagram&) {
        ++heard;
        if (is_slow) std::this_thread::sleep_for(2ms);
      }
    }
  };
  const auto send = [&](std::size_t count) {
    for (; count > 0; --count) ASSERT_FALSE(client.send_to("x", socket.local()));
  };
  // So many that several are taken in one call.
  for (std::size_t round = 1; round <= 10; ++round) {
    send(100);
    ASSERT_TRUE(serve_until(pump, [&] { return heard >= round * 100 - 1; }));
  }
  is_slow = true;
  send(60);
  std::vector<std::size_t> each_time;
  for (const std::size_t all = heard + 60; heard < all && each_time.size() < 100;) {
    const std::size_t before = heard;
    ASSERT_TRUE(readable(pump.wake_fd(), 1s));
    ASSERT_FALSE(pump.dispatch());
    each_time.push_back(heard - before);
  }
  EXPECT_GE(each_time.size(), 40u) << "what was taken when they were quick may be more";
  EXPECT_LE(*std::max_element(each_time.begin() + 1, each_time.end()), 2u);
}

}  // namespace
