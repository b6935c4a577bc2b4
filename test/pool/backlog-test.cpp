// What a pool's parent does when more comes than is served: what it says, and how large it keeps receive buffers.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "pool/backlog.hpp"
#include "pool/receive_limit.hpp"
#include "support/pool_process.hpp"
#include "support/serve.hpp"
#include "support/sockets.hpp"
#include "support/stamping.hpp"

using namespace udppump;
using namespace std::chrono_literals;
using detail::backlog;
using detail::receive_limit;

namespace {

// --- how large a buffer should be, without any socket ---

/// A queue that more comes to than is served, step by step: its buffer counts a datagram with a thousand bytes.
struct overloaded_queue {
  static constexpr std::size_t datagram = 1000;
  double served_a_second;
  std::size_t limit;
  std::chrono::steady_clock::time_point now{1h};
  std::vector<std::chrono::steady_clock::time_point> waiting = {};
  double served = 0;
  bool drops = false;

  /// So much time, in which so many come a second.
  void pass(std::chrono::milliseconds time, int come_a_ms) {
    for (; time.count() > 0; time -= 1ms) {
      now += 1ms;
      for (int count = 0; count < come_a_ms; ++count) {
        if (waiting.size() * datagram < limit) {
          waiting.push_back(now);
        } else {
          drops = true;
        }
      }
      for (served += served_a_second / 1000; served >= 1 && !waiting.empty(); served -= 1)
        waiting.erase(waiting.begin());
      if (waiting.empty()) served = 0;
    }
  }
  std::chrono::nanoseconds waits() const { return waiting.empty() ? 0ns : now - waiting.front(); }
  receive_limit::seen look() {
    return {.now = now,
            .fill = waiting.size() * datagram,
            .waits = waits(),
            .drops = std::exchange(drops, false),
            .limit = limit};
  }
};

TEST(receive_limit, the_oldest_of_a_full_queue_waits_as_long_as_was_asked_for_whatever_the_rate_and_the_size_before) {
  for (const double rate : {200.0, 1000.0, 5000.0}) {
    for (const std::size_t before : {std::size_t{5'000}, std::size_t{200'000}, std::size_t{8'000'000}}) {
      overloaded_queue queue{.served_a_second = rate, .limit = before};
      receive_limit limit{100ms, before, 2000, 8'000'000};
      for (int look = 0; look < 400; ++look) {
        queue.pass(25ms, 10);
        queue.limit = limit.after(queue.look());
      }
      EXPECT_GE(queue.waits(), 75ms) << rate << " a second, at first " << before;
      EXPECT_LE(queue.waits(), 125ms) << rate << " a second, at first " << before;
    }
  }
}

TEST(receive_limit, a_queue_that_grows_is_cut_to_what_is_served_and_not_to_what_comes) {
  overloaded_queue queue{.served_a_second = 1000, .limit = 8'000'000};
  receive_limit limit{100ms, queue.limit, 2000, 8'000'000};
  while (queue.limit == 8'000'000) {
    queue.pass(25ms, 10);  // ten times as much
    queue.limit = limit.after(queue.look());
  }
  EXPECT_GE(queue.limit, 70'000u);
  EXPECT_LE(queue.limit, 130'000u);
}

TEST(receive_limit, it_follows_workers_that_become_slower_or_faster) {
  overloaded_queue queue{.served_a_second = 4000, .limit = 200'000};
  receive_limit limit{100ms, queue.limit, 2000, 8'000'000};
  for (const double rate : {4000.0, 400.0, 4000.0}) {
    queue.served_a_second = rate;
    for (int look = 0; look < 400; ++look) {
      queue.pass(25ms, 10);
      queue.limit = limit.after(queue.look());
    }
    EXPECT_GE(queue.waits(), 75ms) << rate;
    EXPECT_LE(queue.waits(), 125ms) << rate;
  }
}

TEST(receive_limit, it_stays_where_everything_is_served_in_time_and_grows_for_a_burst_that_did_not_fit) {
  const auto start = std::chrono::steady_clock::time_point{1h};
  receive_limit limit{100ms, 10'000, 2000, 1'000'000};
  EXPECT_EQ(limit.after({.now = start, .fill = 0, .waits = 0ms, .drops = false, .limit = 10'000}), 10'000u);
  EXPECT_EQ(limit.after({.now = start, .fill = 9'000, .waits = 90ms, .drops = false, .limit = 10'000}), 10'000u);
  EXPECT_EQ(limit.after({.now = start + 1s, .fill = 0, .waits = 0ms, .drops = true, .limit = 10'000}), 20'000u);
}

TEST(receive_limit, it_never_shrinks_below_the_least_nor_grows_beyond_the_most) {
  receive_limit limit{10ms, 10'000, 4'000, 12'000};
  auto now = std::chrono::steady_clock::time_point{1h};
  EXPECT_EQ(limit.after({.now = now, .fill = 10'000, .waits = 10s, .drops = true, .limit = 10'000}), 4'000u);
  now += 1min;
  EXPECT_EQ(limit.after({.now = now, .fill = 4'000, .waits = 10s, .drops = true, .limit = 4'000}), 4'000u);
  for (int time = 0; time < 9; ++time) {
    now += 1min;
    static_cast<void>(limit.after({.now = now, .fill = 0, .waits = 0s, .drops = true, .limit = 12'000}));
  }
  EXPECT_EQ(limit.after({.now = now + 1min, .fill = 0, .waits = 0s, .drops = true, .limit = 12'000}), 12'000u);
}

TEST(receive_limit, what_came_in_before_a_change_does_not_change_it_again) {
  const auto start = std::chrono::steady_clock::time_point{1h};
  receive_limit limit{100ms, 100'000, 1'000, 100'000};
  EXPECT_EQ(limit.after({.now = start, .fill = 100'000, .waits = 1s, .drops = true, .limit = 100'000}), 10'000u);
  EXPECT_EQ(limit.after({.now = start + 500ms, .fill = 50'000, .waits = 1s, .drops = true, .limit = 10'000}), 10'000u);
  EXPECT_EQ(limit.after({.now = start + 2s, .fill = 10'000, .waits = 200ms, .drops = true, .limit = 10'000}), 5'000u);
}

// --- the parent's look at real sockets ---

struct parent {
  explicit parent(backlog::rules rules, const socket_options& options = {})
      : log{[this](const pool_event& event) { events.push_back(event); }} {
    sockets.push_back(bound(options));
    watch.emplace(shared, sockets, rules, log);
  }
  void send(std::size_t count) {
    for (std::size_t sent = 0; sent < count; ++sent) static_cast<void>(client.send_to("x", sockets[0].local()));
  }
  /// Looks after so much time, of the test's and not of the machine's.
  void look(std::chrono::milliseconds later = 1s) {
    now += later;
    watch->measure_queues(now);
  }
  int receive_buffer() const {
    int size = 0;
    socklen_t length = sizeof size;
    EXPECT_EQ(::getsockopt(sockets[0].fd(), SOL_SOCKET, SO_RCVBUF, &size, &length), 0);
    return size;
  }

  detail::board shared{2, 0};
  datagram_socket client = bound();
  std::vector<datagram_socket> sockets;
  std::vector<pool_event> events;
  detail::pool_log log;
  std::optional<backlog> watch;
  backlog::clock::time_point now = backlog::clock::now();
};

struct backlog_of_pool : testing::Test {
  const stamping on = {};
};

TEST_F(backlog_of_pool, a_queue_that_holds_half_a_second_of_work_is_told_once_a_minute_with_its_cure) {
  parent one{{.workers = 2}, {.receive_buffer = 32'768}};
  one.send(40);  // more than a quarter of the buffer
  one.look();
  one.look();
  EXPECT_TRUE(one.events.empty()) << "it has not waited for so long";
  one.look();  // stamps what is looked at, if it came before anybody wanted to know
  std::this_thread::sleep_for(backlog::tells_from + 20ms);
  one.shared.page(one.shared.claim(0)).counts.lanes[0].received = 10'000;
  one.look();
  ASSERT_EQ(one.events.size(), 1u);
  EXPECT_EQ(one.events[0].name, "behind");
  for (const char* part :
       {"the queue holds about ", " of work", "10000 datagrams a second", "max_age", "receive buffer"}) {
    EXPECT_NE(one.events[0].text.find(part), std::string::npos) << one.events[0].text;
  }
  one.look(58s);
  EXPECT_EQ(one.events.size(), 1u);
  one.look(2s);
  EXPECT_EQ(one.events.size(), 2u);
  EXPECT_TRUE(received(one.sockets[0]) == "x") << "it takes nothing";
}

TEST_F(backlog_of_pool, a_queue_that_is_served_is_not_told) {
  parent one{{.workers = 2}, {.receive_buffer = 32'768}};
  for (int time = 0; time < 5; ++time) {
    one.send(40);
    one.look();
    while (received(one.sockets[0], 0ms)) {
    }
    one.look();
  }
  EXPECT_TRUE(one.events.empty());
}

TEST_F(backlog_of_pool, what_workers_dropped_as_too_old_is_told_once_a_minute_and_that_of_dead_workers_too) {
  parent one{{.max_age = 10ms, .workers = 2}};
  const std::size_t page = one.shared.claim(0);
  one.look();
  EXPECT_TRUE(one.events.empty());
  one.shared.page(page).counts.lanes[0].expired = 3;
  one.look();
  ASSERT_EQ(one.events.size(), 1u);
  EXPECT_EQ(one.events[0].name, "expired");
  EXPECT_NE(one.events[0].text.find("3 datagrams had waited longer than max_age"), std::string::npos);
  one.shared.release(page);
  one.look(61s);
  EXPECT_EQ(one.events.size(), 1u) << "told already";
  const std::size_t next = one.shared.claim(0);
  one.shared.page(next).counts.lanes[0].expired = 1;
  one.look();
  ASSERT_EQ(one.events.size(), 2u);
  EXPECT_NE(one.events[1].text.find("1 datagram had"), std::string::npos) << one.events[1].text;
}

TEST_F(backlog_of_pool, what_pumps_drop_as_too_old_in_one_lane_says_nothing_about_another) {
  parent one{{.workers = 2}, {.receive_buffer = 32'768}};
  const auto told = [&] { return std::ranges::count(one.events, "behind", &pool_event::name); };
  auto& lanes = one.shared.page(one.shared.claim(0)).counts.lanes;
  one.send(40);
  for (int time = 0; time < 3; ++time) one.look();
  std::this_thread::sleep_for(backlog::tells_from + 20ms);
  lanes[0].expired = 7;
  one.look();
  EXPECT_EQ(told(), 0) << "its own pumps drop what is too old";
  one.look(59s);
  EXPECT_EQ(told(), 0);
  lanes[1].expired = 24;
  one.look(2s);
  EXPECT_EQ(told(), 1) << "they have not for a minute; another lane's have";
}

TEST_F(backlog_of_pool, of_programs_a_buffer_that_overflows_is_told_and_nothing_is_stamped) {
  parent one{{.programs = true, .workers = 2}, {.receive_buffer = 4'096}};
  one.look();
  one.send(200);
  one.look();
  one.look();
  ASSERT_EQ(one.events.size(), 1u);
  EXPECT_NE(one.events[0].text.find("--max-wait"), std::string::npos) << one.events[0].text;
  int stamped = 0;
  socklen_t length = sizeof stamped;
  ASSERT_EQ(::getsockopt(one.sockets[0].fd(), SOL_SOCKET, SO_TIMESTAMP, &stamped, &length), 0);
  EXPECT_EQ(stamped, 0);
}

TEST_F(backlog_of_pool, with_max_wait_the_buffer_of_a_queue_that_waits_longer_shrinks_and_is_given_back_in_the_end) {
  parent one{{.programs = true, .max_wait = 20ms, .workers = 2}, {.receive_buffer = 100'000}};
  const int before = one.receive_buffer();
  one.send(60);
  std::this_thread::sleep_for(200ms);
  one.look();
  const int after = one.receive_buffer();
  EXPECT_LT(after, before / 2);
  EXPECT_GE(after, 3 * 1024) << "one for each worker, and one that waits";
  EXPECT_TRUE(one.events.empty()) << "it does what it can";
  one.watch.reset();
  EXPECT_GE(one.receive_buffer(), before);
}

TEST_F(backlog_of_pool, it_sleeps_until_something_comes_and_looks_while_something_waits) {
  parent one{{.programs = true, .max_wait = 40ms, .workers = 2}};
  EXPECT_EQ(one.watch->wants_to_know().size(), 1u);
  EXPECT_EQ(one.watch->next(), backlog::clock::time_point::max());
  one.watch->arrived(one.now);
  EXPECT_TRUE(one.watch->wants_to_know().empty());
  EXPECT_EQ(one.watch->next(), one.now + 10ms) << "a quarter of max_wait";
  one.send(1);
  for (int time = 0; time < 20; ++time) one.look();
  EXPECT_NE(one.watch->next(), backlog::clock::time_point::max());
  EXPECT_EQ(received(one.sockets[0]), "x");
  for (int time = 0; time < 8; ++time) one.look();
  EXPECT_EQ(one.watch->next(), backlog::clock::time_point::max());
}

// --- in a pool ---

/// A worker that is busy while more comes, and finds it too old.
void expect_drops(const pool_options& options, const pump_options& of_pumps) {
  const shared<std::atomic<bool>> may_go_on;
  auto pool = pool_process::serving_with(
      options,
      [&may_go_on](datagram&) {
        while (!*may_go_on) std::this_thread::sleep_for(1ms);
      },
      of_pumps);
  const auto server = pool.address();
  const auto sender = bound();
  std::uint64_t sent = 0;
  const auto send = [&] {
    EXPECT_FALSE(sender.send_to("x", server));
    ++sent;
  };
  // On a slow machine the first may be too old as well.
  ASSERT_TRUE(eventually([&] {
    send();
    return eventually([&] { return pool.status().workers.at(0).state == worker_state::handling; }, 1s);
  }));
  for (int count = 0; count < 3; ++count) send();
  std::this_thread::sleep_for(100ms);
  *may_go_on = true;
  EXPECT_TRUE(eventually(
      [&] { return pool.status().traffic->all.expired + pool.status().workers.at(0).traffic->all.received == sent; }));
  const auto dropped = pool.status().traffic->all.expired;
  EXPECT_GE(dropped, 3u);
  EXPECT_EQ(pool.status().workers.at(0).traffic->all.expired, dropped);
  EXPECT_TRUE(pool.says("had waited longer than max_age")) << pool.log();
  const pid_t worker = pool.workers().at(0);
  ::kill(worker, SIGKILL);
  EXPECT_TRUE(eventually([&] {
    const auto status = pool.status();
    return status.workers.size() == 1 && status.workers[0].pid != worker;
  }));
  EXPECT_EQ(pool.status().traffic->all.expired, dropped) << "those of a dead worker count on";
  EXPECT_EQ(pool.stop(), 0) << pool.log();
}

struct pool_max_age : testing::Test {
  const stamping on = {};
};

TEST_F(pool_max_age, what_waits_too_long_is_dropped_by_workers_counted_and_told) {
  expect_drops({.workers = 1, .max_age = 50ms}, {});
}

TEST_F(pool_max_age, that_of_a_pump_is_its_own) { expect_drops({.workers = 1, .max_age = 1h}, {.max_age = 50ms}); }

struct pool_client_limit : testing::Test {
  /// Ten datagrams of one client, three of which are allowed by the options of pool or pump.
  static void expect_limit(const pool_options& options, const pump_options& of_pumps) {
    auto pool = pool_process::serving_with(
        options, [](datagram&) {}, of_pumps);
    const auto sender = bound();
    const auto taken = [&] {
      const auto status = pool.status();
      std::uint64_t received = 0;
      for (const auto& each : status.workers) received += each.traffic->all.received;
      return received + status.traffic->all.limited;
    };
    for (std::uint64_t sent = 1; sent <= 10; ++sent) {
      ASSERT_FALSE(sender.send_to("x", pool.address()));
      ASSERT_TRUE(eventually([&] { return taken() == sent; })) << pool.log();
    }
    EXPECT_EQ(pool.status().traffic->all.limited, 7u);
    EXPECT_TRUE(pool.says("some clients send more than client_limit allows")) << pool.log();
    const auto before = pool.workers();
    for (const pid_t worker : before) ::kill(worker, SIGKILL);
    ASSERT_TRUE(eventually([&] {
      const auto status = pool.status();
      return status.workers.size() == before.size() && std::ranges::none_of(status.workers, [&](const auto& each) {
               return std::ranges::find(before, each.pid) != before.end() || each.state == worker_state::starting;
             });
    })) << pool.log();
    EXPECT_EQ(pool.status().traffic->all.limited, 7u) << "those of dead workers count on";
    ASSERT_FALSE(sender.send_to("x", pool.address()));
    EXPECT_TRUE(eventually([&] { return pool.status().traffic->all.limited == 8; })) << "new workers know the client";
    EXPECT_EQ(pool.stop(), 0) << pool.log();
  }
};

TEST_F(pool_client_limit, all_workers_hold_a_client_to_it_together_and_so_do_those_after_them) {
  expect_limit({.workers = 3, .client_limit = client_rate{.rate = 0.001, .burst = 3}}, {});
}

TEST_F(pool_client_limit, that_of_pumps_is_their_own) {
  expect_limit({.workers = 2, .client_limit = client_rate{.rate = 0.001, .burst = 1}},
               {.client_limit = client_rate{.rate = 0.001, .burst = 3}});
}

struct pool_client_share : testing::TestWithParam<worker_model> {};

TEST_P(pool_client_share, all_workers_drop_who_floods_and_serve_the_others) {
  const auto work = [](datagram& one) {
    if (one.text() == "honest") return static_cast<void>(one.reply("served"));
    std::this_thread::sleep_for(1ms);
  };
  auto pool =
      pool_process::serving_with({.workers = 2, .model = GetParam(), .client_share = client_share::equal()}, work, {});
  const auto server = pool.address();
  const auto honest = bound(), many = bound({}, "127.0.0.2:0");
  const auto flood = [&](const std::stop_token& told) {
    while (!told.stop_requested()) {
      for (int count = 0; count < 40; ++count) static_cast<void>(many.send_to("flood", server));
      std::this_thread::sleep_for(1ms);
    }
  };
  std::jthread running{flood};
  EXPECT_TRUE(eventually([&] { return pool.status().traffic->all.limited > 100; })) << pool.log();
  EXPECT_TRUE(eventually([&] {
    static_cast<void>(honest.send_to("honest", server));
    std::byte answer[16];
    return static_cast<bool>(honest.receive(answer));
  })) << pool.log();
  EXPECT_TRUE(pool.says("client_share of what is served")) << pool.log();
  running.request_stop();
  running.join();
  EXPECT_EQ(pool.stop(), 0) << pool.log();
}

INSTANTIATE_TEST_SUITE_P(models, pool_client_share, testing::Values(worker_model::processes, worker_model::threads),
                         [](const auto& tested) {
                           return tested.param == worker_model::threads ? "threads" : "processes";
                         });

TEST_F(pool_client_limit, what_is_dropped_is_served_by_nobody_also_if_on_limited_throws) {
  const shared<std::atomic<int>> handled;
  const auto throws = [](datagram&) { throw std::runtime_error{"of on_limited"}; };
  auto pool = pool_process::serving_with(
      {.workers = 1, .redeliver = redelivery{.largest = 100}, .client_limit = client_rate{.rate = 0.001, .burst = 1}},
      [&handled](datagram&) { ++*handled; }, {.on_limited = throws});
  const auto much = bound(), other = bound({}, "127.0.0.2:0");
  ASSERT_FALSE(much.send_to("served", pool.address()));
  ASSERT_TRUE(eventually([&] { return *handled == 1; }));
  const pid_t first = pool.workers().at(0);
  ASSERT_FALSE(much.send_to("dropped", pool.address()));
  ASSERT_TRUE(eventually([&] {
    const auto workers = pool.workers();
    return workers.size() == 1 && workers[0] != first;
  })) << pool.log();
  ASSERT_FALSE(other.send_to("served", pool.address()));
  ASSERT_TRUE(eventually([&] { return *handled >= 2; })) << pool.log();
  EXPECT_EQ(*handled, 2) << "what a dead worker held is offered before what is new";
  EXPECT_EQ(pool.status().traffic->all.limited, 1u);
  EXPECT_EQ(pool.stop(), 0) << pool.log();
}

TEST_F(pool_client_limit, shares_are_refused_where_workers_share_no_memory) {
  const pool_options shared{.bind = {"127.0.0.1:0"}, .client_share = client_share::equal()};
  auto reexecuted = shared;
  reexecuted.reexecute = true;
  EXPECT_THROW((worker_pool{reexecuted}), std::invalid_argument);
  worker_pool pool{shared};
  EXPECT_THROW(static_cast<void>(pool.run(worker_program{{"/bin/true"}})), std::invalid_argument);
}

TEST_F(pool_client_limit, where_workers_share_no_memory_it_is_refused) {
  const pool_options limited{.bind = {"127.0.0.1:0"}, .client_limit = client_rate{.rate = 1}};
  auto reexecuted = limited;
  reexecuted.reexecute = true;
  EXPECT_THROW((worker_pool{reexecuted}), std::invalid_argument);
  worker_pool pool{limited};
  try {
    static_cast<void>(pool.run(worker_program{{"/bin/true"}}));
    ADD_FAILURE() << "not refused";
  } catch (const std::invalid_argument& refused) {
    EXPECT_NE(std::string{refused.what()}.find("client_limit"), std::string::npos) << refused.what();
  }
}

TEST_F(pool_max_age, what_cannot_be_is_refused_with_its_reason) {
  EXPECT_THROW((worker_pool{{.bind = {"127.0.0.1:0"}, .max_age = -1ns}}), std::invalid_argument);
  worker_pool pool{{.bind = {"127.0.0.1:0"}, .max_age = 1s}};
  try {
    static_cast<void>(pool.run(worker_program{{"/bin/true"}}));
    ADD_FAILURE() << "not refused";
  } catch (const std::invalid_argument& refused) {
    EXPECT_NE(std::string{refused.what()}.find("max_wait"), std::string::npos) << refused.what();
  }
}

}  // namespace
