#include "load/run/class_results.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "load/report/class_report.hpp"
#include "load/run/answer_ledger.hpp"

namespace {

using namespace std::chrono_literals;
using namespace udppump::load;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

const service_times mixed = service_times::parse("bimodal:1ms,100ms,25%");

TEST(service_times, have_classes_if_they_are_bimodal) {
  EXPECT_TRUE(mixed.has_classes());
  EXPECT_FALSE(mixed.is_long(1ms));
  EXPECT_TRUE(mixed.is_long(100ms));
  EXPECT_DOUBLE_EQ(mixed.long_share_of_work(), 25 / 25.75);
  for (const auto* text : {"constant:1ms", "exponential:1ms", "bimodal:1ms,1ms,25%"}) {
    const auto same = service_times::parse(text);
    EXPECT_FALSE(same.has_classes()) << text;
    EXPECT_FALSE(same.is_long(1h)) << text;
    EXPECT_EQ(same.long_share_of_work(), 0) << text;
    EXPECT_FALSE(class_results::of(same)) << text;
  }
}

TEST(slowdowns, are_latencies_in_units_of_the_own_service_time) {
  slowdowns some;
  for (int i = 1; i <= 100; ++i) some.add(i * 1ms, 2ms);
  EXPECT_NEAR(some.percentile(50), 25, 0.025);
  EXPECT_NEAR(some.percentile(99), 49.5, 0.05);
  some.add(1ms, 0ns);  // a multiple of nothing
  EXPECT_NEAR(some.percentile(100), 50, 0.05);
  EXPECT_TRUE(std::isinf(some.percentile(99, 2)));
  some.add(nanoseconds::max(), 1ns);  // no overflow
  EXPECT_GT(some.percentile(100), 1e9);
}

TEST(class_results, tell_short_and_long_requests_apart_by_what_they_asked_for) {
  auto seen = class_results::of(mixed);
  ASSERT_TRUE(seen);
  for (int i = 0; i < 3; ++i) seen->add(1ms, 4ms, 2ms);  // the service took longer than asked for
  seen->add(100ms, 150ms, 100ms);
  seen->miss(100ms);
  EXPECT_EQ(seen->short_ones().requests(), 3u);
  EXPECT_EQ(seen->short_ones().percentile(99), 4ms);
  EXPECT_DOUBLE_EQ(seen->short_ones().slowdown_percentile(99), 2);
  EXPECT_EQ(seen->long_ones().requests(), 2u);
  EXPECT_EQ(seen->long_ones().percentile(50), 150ms);
  EXPECT_DOUBLE_EQ(seen->long_ones().slowdown_percentile(50), 1.5);
  EXPECT_EQ(seen->long_ones().percentile(99), unanswered);
  EXPECT_TRUE(std::isinf(seen->long_ones().slowdown_percentile(99)));
  EXPECT_EQ(seen->all().requests(), 5u);
  auto twice = *seen;
  twice.merge(*seen);
  EXPECT_EQ(twice.short_ones().requests(), 6u);
  EXPECT_EQ(twice.all().missing, 2u);
}

TEST(answer_ledger, counts_classes_of_work_apart_and_what_is_lost_of_each) {
  answer_ledger ledger{{.sequence_bits = 32, .timeout = 1s, .warmup = 10ms, .service = mixed}};
  auto send = [&, index = 0u](nanoseconds intended, nanoseconds asked) mutable {
    ledger.sent({.plan = {.index = index++, .intended = intended, .flow = 0, .asked = asked}});
  };
  const auto answer = [&](std::uint64_t sequence, nanoseconds at, nanoseconds used) {
    ledger.came(0, request_template::answer{.sequence = sequence, .work = work_answer{.used = used}}, at);
  };
  send(0ms, 1ms);     // warms up
  send(20ms, 1ms);    // takes 3 ms, of which 2 are service
  send(21ms, 100ms);  // lost
  send(22ms, 1ms);    // not sent
  ledger.unsent(0);
  answer(0, 5ms, 1ms);
  answer(1, 23ms, 2ms);
  ledger.close();
  const auto& seen = ledger.classes();
  ASSERT_TRUE(seen);
  EXPECT_EQ(seen->short_ones().latency.count(), 1u);
  EXPECT_EQ(seen->short_ones().missing, 1u);
  EXPECT_EQ(seen->short_ones().latency.max(), 3ms);
  EXPECT_DOUBLE_EQ(seen->short_ones().slowdown_percentile(50), 1.5);
  EXPECT_EQ(seen->long_ones().latency.count(), 0u);
  EXPECT_EQ(seen->long_ones().missing, 1u);
  EXPECT_EQ(seen->all().missing, ledger.counts().lost + ledger.counts().unsent);
  EXPECT_FALSE((answer_ledger{{.service = service_times::parse("exponential:1ms")}}.classes()));
}

TEST(class_report, has_a_line_for_each_class_and_name_and_says_what_is_chance) {
  auto seen = *class_results::of(mixed);
  auto ideal = seen;
  for (int i = 0; i < 1000; ++i) {
    seen.add(1ms, 3ms, 1ms);
    ideal.add(1ms, 2ms, 1ms);
  }
  seen.add(100ms, 200ms, 100ms);
  ideal.add(100ms, 100ms, 100ms);
  const class_row rows[] = {{.name = "ideal", .classes = &ideal}, {.name = "lanes", .classes = &seen, .ideal = &ideal}};
  const std::string text = to_text(rows);
  EXPECT_THAT(text, ContainsRegex("p50 +p99 +p99.9 +slowdown p99 +p99/ideal +slowdown/ideal\n"));
  EXPECT_THAT(text, ContainsRegex("\nshort, ideal +2.00 ms +2.00 ms +2.00 ms +2.00 *\n"));
  EXPECT_THAT(text, ContainsRegex("\nshort, lanes +3.00 ms +3.00 ms +3.00 ms +3.00 +1.50 +1.50\n"));
  EXPECT_THAT(text, ContainsRegex("\nlong, lanes +200 ms +200 ms +200 ms +2.00 +2.00 +2.00\n"));
  EXPECT_THAT(text, HasSubstr("\nall, lanes "));
  EXPECT_THAT(text, HasSubstr("note: short: 1000 requests: fewer than ten of them exceed p99.9"));
  EXPECT_THAT(text, HasSubstr("note: long: 1 request: fewer than ten of them exceed p99, p99.9"));
  seen.miss(100ms);
  const class_row alone{.name = "", .classes = &seen};
  const std::string one = to_text({&alone, 1});
  EXPECT_THAT(one, ContainsRegex("\nlong +200 ms +lost +lost +lost\n"));
  EXPECT_THAT(one, Not(HasSubstr("p99/ideal")));
  const auto json = to_json(seen);
  EXPECT_EQ(json["short"]["slowdown"]["p99"], 3);
  EXPECT_EQ(json["long"]["latency"]["missing"], 1);
  EXPECT_TRUE(json["long"]["slowdown"]["p99"].is_null());
  EXPECT_EQ(json["all"]["latency"]["count"], 1001);
}

}  // namespace
