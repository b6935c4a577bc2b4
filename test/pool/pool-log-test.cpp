// What a pool's log writes of what it is told, and how much.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "pool/log_limit.hpp"
#include "pool/pool_log.hpp"

using namespace udppump;
using namespace std::chrono_literals;
using detail::log_limit;
using detail::pool_log;
using testing::Contains;
using testing::Pair;
using testing::StartsWith;

namespace {

struct pool_log_limit : testing::Test {
  std::vector<pool_event> events;
  const pool_log log{[this](const pool_event& event) { events.push_back(event); }};
};

TEST_F(pool_log_limit, lines_of_a_kind_are_few_and_say_how_many_they_stand_for) {
  for (int often = 0; often < 30'000; ++often) log.warning("refused", "line " + std::to_string(often));
  log.error("other", "another");
  EXPECT_EQ(events.size(), pool_log::at_once + 1) << "one kind does not keep another out";
  const auto due = log.next();
  EXPECT_NE(due, log_limit::clock::time_point::max());
  log.write_due(due - 1ms);
  EXPECT_EQ(events.size(), pool_log::at_once + 1);
  log.write_due(due);
  ASSERT_EQ(events.size(), pool_log::at_once + 2);
  EXPECT_THAT(events.back().text, StartsWith("line 29999; and 29935 like it in the "));
  EXPECT_EQ(events.back().name, "refused");
  EXPECT_EQ(events.back().severity, pool_event::level::warning);
  EXPECT_THAT(events.back().fields, Contains(Pair("like_it", "29935")));
  EXPECT_EQ(log.next(), log_limit::clock::time_point::max());
}

TEST_F(pool_log_limit, one_and_then_a_count_where_one_says_it_all) {
  for (int often = 0; often < 40; ++often) log.warning("busy", "under way", {}, 1);
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].text, "under way");
  log.write_due(log.next());
  ASSERT_EQ(events.size(), 2u);
  EXPECT_THAT(events.back().text, StartsWith("under way; and 38 like it in the "));
}

TEST_F(pool_log_limit, what_was_kept_back_is_told_at_the_end) {
  for (int often = 0; often < 3; ++often) log.notice("busy", "under way", {}, 1);
  log.write_all();
  ASSERT_EQ(events.size(), 2u);
  EXPECT_THAT(events.back().text, StartsWith("under way; and 1 like it in the "));
  log.write_all();
  EXPECT_EQ(events.size(), 2u) << "once";
}

TEST_F(pool_log_limit, what_a_program_says_is_written_all_of_it) {
  for (int often = 0; often < 1000; ++often) log.say(pool_event::level::info, "worker-says", "line\n", {});
  EXPECT_EQ(events.size(), 1000u);
  EXPECT_EQ(events.back().text, "line\\x0a");
  EXPECT_EQ(log.next(), log_limit::clock::time_point::max());
}

TEST(log_limit, a_kind_that_was_quiet_for_long_enough_has_all_of_its_lines_again) {
  log_limit limit;
  int written = 0;
  auto now = log_limit::clock::now();
  const auto pass = [&] { limit.pass({.name = "kind", .text = ""}, 3, now, [&written](const auto&) { ++written; }); };
  for (int often = 0; often < 5; ++often) pass();
  EXPECT_EQ(written, 3);
  now += log_limit::pause;
  pass();
  EXPECT_EQ(written, 5) << "what was kept back, and this one";
  pass();
  EXPECT_EQ(written, 5);
  now += log_limit::pause * 4;
  for (int often = 0; often < 5; ++often) pass();
  EXPECT_EQ(written, 9) << "what was kept back, and three";
}

TEST(log_limit, what_was_kept_back_has_the_time_when_it_was_and_says_since_when) {
  log_limit limit;
  std::vector<pool_event> events;
  const log_limit::writer write = [&events](const pool_event& event) { events.push_back(event); };
  const auto begin = log_limit::clock::now();
  const std::chrono::system_clock::time_point day{1'000'000s};
  for (const auto after : {0ms, 100ms, 2'600ms, 9'000ms}) {
    limit.pass({.name = "kind", .text = "it", .time = day + after}, 1, begin + after, write);
  }
  limit.write_due(limit.next(), write);
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].time, day);
  EXPECT_EQ(events[1].time, day + 9s) << "not when it was written";
  EXPECT_EQ(events[1].text, "it; and 2 like it in the 8.9 s before");
  EXPECT_THAT(events[1].fields, Contains(Pair("like_it_ms", "8900")));
}

}  // namespace
