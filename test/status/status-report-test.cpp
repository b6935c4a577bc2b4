#include "status_report.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "short_text.hpp"
#include "status/planted.hpp"

using namespace udppump;
using namespace udppump::tools;
using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;

namespace {

std::size_t widest(const std::string& text) {
  std::istringstream lines{text};
  std::size_t most = 0;
  for (std::string line; std::getline(lines, line);) most = std::max(most, line.size());
  return most;
}

TEST(short_text, is_six_characters_at_most_and_keeps_three_digits) {
  EXPECT_EQ(short_count(0), "0");
  EXPECT_EQ(short_count(99'999), "99999");
  EXPECT_EQ(short_count(100'000), "100k");
  EXPECT_EQ(short_count(4'560'000), "4.56M");
  EXPECT_EQ(short_count(UINT64_MAX), "18.4E");
  EXPECT_EQ(short_time(0ns), "0");
  EXPECT_EQ(short_time(250ns), "250ns");
  EXPECT_EQ(short_time(1'200ns), "1.20us");
  EXPECT_EQ(short_time(340ms), "340ms");
  EXPECT_EQ(short_time(99s), "99.0s");
  EXPECT_EQ(short_time(3h), "3h");
  EXPECT_EQ(short_time(std::chrono::nanoseconds::max()), "106752d");
  EXPECT_EQ(short_bytes(999), "999");
  EXPECT_EQ(short_bytes(1000), "1.0K");
  EXPECT_EQ(short_bytes(4 << 20), "4.0M");
  EXPECT_EQ(short_rate(0), "0");
  EXPECT_EQ(short_rate(0.25), "0.25");
  EXPECT_EQ(short_rate(1234.5), "1235");
  for (std::uint64_t number = 1; number < UINT64_MAX / 7; number = number * 7 + 3) {
    EXPECT_LE(short_count(number).size(), 6u) << number;
    EXPECT_LE(short_bytes(number).size(), 6u) << number;
    EXPECT_LE(short_rate(static_cast<double>(number)).size(), 6u) << number;
    const auto time = std::chrono::nanoseconds{static_cast<std::int64_t>(number)};
    EXPECT_LE(short_time(time).size(), time < 24h * 9'999 ? 6u : 7u) << number;
  }
}

TEST(status_report, has_room_in_eighty_columns) {
  pool_status pool = planted_pool(4, 123'456'789);
  pool.sockets[0].address = "[2001:db8::1234]:65535";
  for (worker_status& each : pool.workers) {
    each.state = worker_state::handling;
    each.handling_for = 340ms;
    each.pid = 4'194'303;
  }
  const std::string text = text_of(pool);
  EXPECT_LE(widest(text), 80u) << text;
  EXPECT_THAT(text, HasSubstr("dns (pid 4711): up 3h, 4 of 4 workers (processes with handlers), udppump 0.1.0\n"));
  EXPECT_THAT(text, HasSubstr("restarts 2, reloads 0, hung 0, kicks 0, max-age 500ms\n"));
  EXPECT_THAT(text, HasSubstr("redelivered 3, poisoned 1, abandoned 0, quarantines 0\n"));
  EXPECT_THAT(text, HasSubstr("75%"));
  EXPECT_THAT(text, Not(HasSubstr("waited:"))) << "not known";
}

TEST(status_report, what_is_not_known_is_a_dash_or_null_and_never_0) {
  pool_status pool = planted_pool(1, 10);
  pool.kind = worker_kind::programs;
  pool.traffic.reset();
  pool.kicks.reset();
  pool.redelivery.reset();
  pool.sockets.erase(pool.sockets.begin());
  pool.workers[0].traffic.reset();
  pool.workers[0].kicks.reset();
  pool.workers[0].waiter.reset();
  pool.workers[0].usage.reset();
  const std::string text = text_of(pool);
  EXPECT_THAT(text, Not(HasSubstr("TRAFFIC")));
  EXPECT_THAT(text, Not(HasSubstr("redelivered")));
  EXPECT_THAT(text, Not(HasSubstr("kicks")));
  EXPECT_THAT(text, HasSubstr("unix:/run/dns     -       -     -       -      -       -      -\n")) << text;
  const auto told = json_of(pool);
  EXPECT_TRUE(told["traffic"].is_null());
  EXPECT_TRUE(told["redelivery"].is_null());
  EXPECT_TRUE(told["sockets"][0]["queued_bytes"].is_null());
  EXPECT_TRUE(told["sockets"][0]["drops"].is_null());
  EXPECT_TRUE(told["kicks"].is_null());
  EXPECT_TRUE(told["workers"][0]["kicks"].is_null());
  EXPECT_TRUE(told["workers"][0]["traffic"].is_null());
  EXPECT_TRUE(told["workers"][0]["usage"].is_null());
  EXPECT_TRUE(told["workers"][0]["handling_for_s"].is_null());
}

TEST(status_report, json_has_all_numbers) {
  pool_status pool = planted_pool(2, 10);
  pool.lanes = {"quick", "rest"};
  pool.traffic->lanes = {{.handled = 15}, {.handled = 5}};
  const auto told = json_of(pool);
  EXPECT_EQ(told["pid"], 4711);
  EXPECT_EQ(told["user"], 53);
  EXPECT_EQ(told["uptime_s"], 10'800);
  EXPECT_EQ(told["max_age_s"], 0.5);
  EXPECT_EQ(told["redelivery"]["poisoned"], 1);
  EXPECT_EQ(told["kicks"], 0);
  EXPECT_EQ(told["workers"][1]["kicks"], 0);
  EXPECT_EQ(told["sockets"][0]["queued_bytes"], 75'000);
  EXPECT_EQ(told["sockets"][0]["oldest_waits_s"], 0.34);
  EXPECT_EQ(told["traffic"]["handled"], 20);
  EXPECT_EQ(told["traffic"]["handler"]["count"], 20);
  EXPECT_TRUE(told["traffic"]["waited"].is_null());
  EXPECT_EQ(told["traffic"]["lanes"][1]["lane"], "rest");
  EXPECT_EQ(told["traffic"]["lanes"][1]["handled"], 5);
  EXPECT_EQ(told["workers"][1]["pid"], 5001);
  EXPECT_EQ(told["workers"][1]["usage"]["cpu_s"], 4);
  EXPECT_EQ(told["workers"][1]["waiter"], "epoll");
}

}  // namespace
