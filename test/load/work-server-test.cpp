#include "load/run/work_server.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <numeric>
#include <set>
#include <sstream>

#include "load/plan/work_requests.hpp"
#include "load/run/load_run.hpp"
#include "load/run/work_match.hpp"
#include "support/process.hpp"
#include "udppump/lanes.hpp"

namespace {

using namespace std::chrono_literals;
using namespace udppump::load;
using udppump::address;
using udppump::waiter_kind;

const address any_port = address::parse("127.0.0.1:0");

load_options to(const work_server& server, const char* work) {
  load_options options{.target = server.local(), .timeout = 10s, .keep_records = true};
  options.plan = {.rate = 1000, .length = 400ms, .flows = 16, .service = service_times::parse(work)};
  return options;
}

void expect_served(const work_options& options, const char* waiter) {
  const work_server server{options};
  if (*waiter != '\0') {
    EXPECT_EQ(server.waiter(), waiter);
  }
  const auto result = run_load(to(server, "exponential:1ms"), work_requests{1});
  EXPECT_EQ(result.counts.answered, result.counts.sent);
  EXPECT_EQ(result.counts.duplicates, 0u);
  const auto served = server.served();
  EXPECT_EQ(served.size(), options.workers);
  EXPECT_GT(std::ranges::count_if(served, [](std::uint64_t each) { return each > 0; }), 1);
  EXPECT_EQ(std::accumulate(served.begin(), served.end(), std::uint64_t{0}), result.counts.sent);
  EXPECT_GT(server.context_switches(), 0u);
  std::vector<std::uint64_t> by_worker(options.workers);
  for (const auto& record : result.records) {
    EXPECT_GE(record.used, record.asked);
    EXPECT_GE(record.waited, 0ns);
    EXPECT_GT(record.latency, record.used);
    ASSERT_LT(record.worker, options.workers);
    ++by_worker[static_cast<std::size_t>(record.worker)];
  }
  EXPECT_EQ(by_worker, served);
}

TEST(work_server, answers_every_request_on_a_shared_socket) { expect_served({.bind = any_port}, ""); }

TEST(work_server, answers_under_the_waiter_asked_for) {
  expect_served({.bind = any_port, .waiter = waiter_kind::thread}, "thread");
  expect_served({.bind = any_port, .waiter = waiter_kind::poll}, "poll");
}

TEST(work_server, answers_with_a_socket_for_each_worker) {
  expect_served({.bind = any_port, .queue = queue_kind::sharded}, "");
}

TEST(work_server, answers_from_lanes_and_keeps_reserved_workers_for_short_requests) {
  const work_options options{
      .bind = any_port, .queue = queue_kind::lanes, .workers = 4, .short_limit = 1ms, .reserve = 2};
  expect_served(options, "");
  const work_server server{options};
  const auto result = run_load(to(server, "bimodal:1ms,3ms,50%"), work_requests{2});
  EXPECT_EQ(result.counts.answered, result.counts.sent);
  std::set<std::int32_t> of_short, of_long;
  for (const auto& record : result.records) (record.asked > 1ms ? of_long : of_short).insert(record.worker);
  EXPECT_THAT(of_short, ::testing::IsSupersetOf({0}));
  EXPECT_THAT(of_long, ::testing::Each(::testing::Ge(2)));
  EXPECT_FALSE(of_long.empty());
}

TEST(work_match, takes_what_asks_for_its_limit_at_most) {
  using udppump::datagram_socket;
  for (const nanoseconds limit : {nanoseconds{0}, nanoseconds{1ms}, nanoseconds{5s}}) {  // 5 s takes more than 32 bits
    const udppump::lane lanes[] = {{.name = "short", .match = asks_at_most(limit)}, {.name = "long"}};
    const auto sockets = bind_lanes(any_port, lanes);
    const auto client = datagram_socket::connect(sockets[0].local());
    const auto lane_of = [&](std::span<const std::byte> message) -> std::size_t {
      EXPECT_FALSE(client.send(message));
      std::vector<std::byte> space(64);
      for (std::size_t lane = 0; lane < 2; ++lane) {  // loopback delivers before send() returns
        if (sockets[lane].receive(space)) return lane;
      }
      ADD_FAILURE() << "it has not come";
      return 2;
    };
    const auto lane_of_asked = [&](nanoseconds asked) {
      std::array<std::byte, work_message_size> message;
      write(work_request{.id = ~std::uint64_t{0}, .asked = asked}, message);
      return lane_of(message);
    };
    EXPECT_EQ(lane_of_asked(0ns), 0u) << limit.count();
    EXPECT_EQ(lane_of_asked(limit), 0u) << limit.count();
    EXPECT_EQ(lane_of_asked(limit + 1ns), 1u) << limit.count();
    EXPECT_EQ(lane_of_asked(nanoseconds{std::int64_t{1} << 32} + limit), 1u) << limit.count();
    EXPECT_EQ(lane_of({}), 1u) << limit.count();
  }
}

TEST(work_server, lanes_need_a_worker_for_long_requests) {
  EXPECT_THROW((work_server{{.bind = any_port, .queue = queue_kind::lanes, .workers = 2, .reserve = 2}}),
               std::invalid_argument);
}

TEST(work_server, answers_as_a_herd) { expect_served({.bind = any_port, .queue = queue_kind::herd}, "epoll"); }

TEST(work_server, spins_for_as_much_cpu_time_as_was_asked) {
  expect_served({.bind = any_port, .service = service_mode::spin, .workers = 2}, "");
}

TEST(work_server, serves_ipv6_where_there_is_some) {
  try {
    expect_served({.bind = address::parse("[::1]:0"), .queue = queue_kind::sharded}, "");
  } catch (const std::system_error& why) {
    GTEST_SKIP() << why.what();
  }
}

TEST(work_server, what_is_no_work_request_gets_no_answer) {
  const work_server server{{.bind = any_port}};
  const auto client = udppump::datagram_socket::connect(server.local());
  ASSERT_FALSE(client.send("hello"));
  EXPECT_TRUE(eventually([&] { return server.refused() == 1; }));
  EXPECT_FALSE(readable(client.fd()));
}

TEST(work_server, an_address_that_is_taken_is_named) {
  const auto taken = bound();
  try {
    const work_server server{{.bind = taken.local()}};
    FAIL() << "it was bound twice";
  } catch (const std::system_error& why) {
    EXPECT_THAT(why.what(), ::testing::HasSubstr(taken.local().to_string()));
  }
}

std::vector<pid_t> children() {
  std::ifstream list{"/proc/self/task/" + std::to_string(::getpid()) + "/children"};
  return {std::istream_iterator<pid_t>{list}, {}};
}

TEST(work_server, its_workers_end_with_it) {
  ASSERT_TRUE(children().empty());
  {
    const work_server server{{.bind = any_port}};
    EXPECT_EQ(children().size(), 4u);
  }
  EXPECT_TRUE(children().empty());
}

TEST(work_server, its_workers_end_with_their_parent) {
  const shared<std::atomic<int>> worker;
  child_process parent{[&] {
    const work_server server{{.bind = any_port, .workers = 1}};
    *worker = children().front();
    ::pause();
  }};
  ASSERT_TRUE(eventually([&] { return *worker != 0; }));
  ::kill(parent.pid(), SIGKILL);
  EXPECT_TRUE(eventually([&] {
    // Ended, though whoever inherits it may not have waited for it yet.
    std::ifstream status{"/proc/" + std::to_string(*worker) + "/stat"};
    std::string text;
    return !std::getline(status, text) || text.find(") Z ") != std::string::npos;
  }));
}

TEST(work_server, a_worker_that_ended_is_told_once) {
  work_server server{{.bind = any_port}};
  EXPECT_FALSE(server.ended());
  ::kill(children()[2], SIGKILL);
  std::optional<std::string> told;
  EXPECT_TRUE(eventually([&] { return (told = server.ended()).has_value(); }));
  EXPECT_THAT(told.value_or(""), ::testing::MatchesRegex("worker 2 .* ended: killed by signal: Killed"));
  EXPECT_FALSE(server.ended());
}

TEST(work_service, sleeps_and_spins_no_shorter_than_asked) {
  for (const auto mode : {service_mode::sleep, service_mode::spin}) {
    work_service service{mode, 3};
    std::array<std::byte, work_message_size> raw;
    for (const nanoseconds asked : {0ns, nanoseconds{5us}, nanoseconds{2ms}}) {
      write(work_request{.id = 9, .asked = asked}, raw);
      const nanoseconds began = monotonic_now();
      const auto bytes = service.serve(raw, 7ns);
      const nanoseconds took = monotonic_now() - began;
      ASSERT_TRUE(bytes);
      const auto answer = read_work_answer(*bytes);
      ASSERT_TRUE(answer);
      EXPECT_EQ(answer->id, 9u);
      EXPECT_EQ(answer->asked, asked);
      EXPECT_GE(answer->used, asked);
      EXPECT_LE(answer->used, took);
      EXPECT_GE(answer->began, began);
      EXPECT_EQ(answer->waited, 7ns);
      EXPECT_EQ(answer->worker, 3);
    }
  }
}

TEST(punctual_sleep, never_ends_early) {
  for (const nanoseconds spin : {0ns, nanoseconds{60us}}) {
    punctual_sleep sleep{spin};
    for (int i = 0; i < 200; ++i) {
      const nanoseconds until = monotonic_now() + 200us;
      sleep.until(until);
      EXPECT_GE(monotonic_now(), until);
    }
  }
}

}  // namespace
