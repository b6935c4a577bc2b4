#include <gtest/gtest.h>

#include "pool/restart_plan.hpp"

using namespace udppump;
using namespace std::chrono_literals;
using detail::restart_plan;

namespace {

constexpr restart_plan::clock::time_point birth{1h};

/// The wait after a life of this length; -1 ms if the plan gives up.
std::chrono::nanoseconds wait_after(restart_plan& plan, std::chrono::nanoseconds lived, std::uint64_t served = 0) {
  const auto next = plan.after({.started = birth, .ended = birth + lived, .served = served});
  return next ? *next - (birth + lived) : -1ms;
}

TEST(restart_plan, who_lived_long_enough_is_replaced_at_once) {
  const restart_policy policy{.healthy_after = 1s, .first_delay = 20ms};
  restart_plan plan{policy};
  EXPECT_EQ(wait_after(plan, 999ms), 20ms);
  EXPECT_EQ(wait_after(plan, 1s), 0ms);
  EXPECT_EQ(wait_after(plan, 5h), 0ms);
}

TEST(restart_plan, who_served_enough_was_well_however_short_its_life) {
  const restart_policy policy{.healthy_after = 1h, .healthy_after_datagrams = 100, .first_delay = 20ms};
  restart_plan plan{policy};
  EXPECT_EQ(wait_after(plan, 100ms, 99), 20ms);
  EXPECT_EQ(wait_after(plan, 100ms, 99), 40ms);
  EXPECT_EQ(wait_after(plan, 100ms, 100), 0ms);
  EXPECT_EQ(wait_after(plan, 100ms, 99), 20ms) << "the back-off begins anew";
}

TEST(restart_plan, two_starts_are_first_delay_apart_even_if_the_worker_was_well) {
  const restart_policy policy{.healthy_after_datagrams = 10, .first_delay = 20ms};
  restart_plan plan{policy};
  EXPECT_EQ(wait_after(plan, 5ms, 10), 15ms);
  EXPECT_EQ(wait_after(plan, 20ms, 10), 0ms);
}

TEST(restart_plan, short_lives_in_a_row_double_the_wait_up_to_the_longest) {
  const restart_policy policy{.first_delay = 50ms, .longest_delay = 300ms, .crash_limit = 100};
  restart_plan plan{policy};
  for (const auto wait : {50ms, 100ms, 200ms, 300ms, 300ms}) EXPECT_EQ(wait_after(plan, 1ms), wait);
  for (int more = 0; more < 60; ++more) EXPECT_EQ(wait_after(plan, 1ms), 300ms) << more;
  EXPECT_EQ(wait_after(plan, 2s), 0ms);
  EXPECT_EQ(wait_after(plan, 1ms), 50ms);
}

TEST(restart_plan, the_longest_delay_holds_even_below_the_first) {
  const restart_policy policy{.first_delay = 50ms, .longest_delay = 10ms};
  restart_plan plan{policy};
  EXPECT_EQ(wait_after(plan, 1ms), 10ms);
}

TEST(restart_plan, no_delay_means_none) {
  const restart_policy policy{.first_delay = 0ms, .crash_limit = 1000};
  restart_plan plan{policy};
  for (int more = 0; more < 100; ++more) EXPECT_EQ(wait_after(plan, 1ms), 0ms);
}

TEST(restart_plan, a_delay_of_a_year_overflows_nothing) {
  const restart_policy policy{.first_delay = 24h * 365, .longest_delay = 24h * 365, .crash_limit = 1000};
  restart_plan plan{policy};
  for (int more = 0; more < 40; ++more) EXPECT_EQ(wait_after(plan, 1ms), 24h * 365);
}

TEST(restart_plan, a_worker_cannot_be_kept_after_crash_limit_lives_in_a_row_without_a_datagram) {
  const restart_policy policy{.first_delay = 1ms, .crash_limit = 3};
  restart_plan plan{policy};
  EXPECT_EQ(wait_after(plan, 1ms), 1ms);
  EXPECT_EQ(wait_after(plan, 1ms), 2ms);
  EXPECT_EQ(plan.unserved_lives(), 2u);
  EXPECT_FALSE(plan.cannot_keep());
  wait_after(plan, 1ms);
  EXPECT_EQ(plan.unserved_lives(), 3u);
  EXPECT_TRUE(plan.cannot_keep());
}

TEST(restart_plan, pauses_of_a_worker_that_cannot_be_kept_grow_up_to_a_minute) {
  const restart_policy policy{.first_delay = 1ms, .longest_delay = 5s, .crash_limit = 2};
  restart_plan plan{policy};
  EXPECT_EQ(wait_after(plan, 1ms), 1ms);
  for (const auto pause : {5s, 10s, 20s, 40s, 60s, 60s}) EXPECT_EQ(wait_after(plan, 1ms), pause);
  for (int more = 0; more < 100; ++more) EXPECT_EQ(wait_after(plan, 1ms), 60s);
  EXPECT_TRUE(plan.cannot_keep());
  EXPECT_EQ(wait_after(plan, 1h), 0ms) << "it was well";
  EXPECT_FALSE(plan.cannot_keep());
}

TEST(restart_plan, a_start_that_takes_long_is_no_good_life) {
  const restart_policy policy{.healthy_after = 1s, .first_delay = 10ms, .crash_limit = 2};
  restart_plan plan{policy};
  const restart_plan::life hung{.started = birth, .ended = birth + 30s, .began_to_serve = false};
  EXPECT_EQ(plan.after(hung), birth + 30s + 10ms);
  EXPECT_FALSE(plan.cannot_keep());
  EXPECT_TRUE(plan.after(hung).has_value());
  EXPECT_TRUE(plan.cannot_keep());
}

TEST(restart_plan, a_longest_delay_above_a_minute_stays_the_longest) {
  const restart_policy policy{.first_delay = 1ms, .longest_delay = 1h, .crash_limit = 1};
  restart_plan plan{policy};
  for (int more = 0; more < 40; ++more) EXPECT_EQ(wait_after(plan, 1ms), 1h);
}

TEST(restart_plan, one_datagram_is_enough_to_be_kept_but_not_for_being_well) {
  const restart_policy policy{.first_delay = 10ms, .crash_limit = 2};
  restart_plan plan{policy};
  EXPECT_EQ(wait_after(plan, 1ms), 10ms);
  EXPECT_EQ(wait_after(plan, 1ms, 1), 20ms);
  EXPECT_EQ(wait_after(plan, 1ms), 40ms);
  EXPECT_FALSE(plan.cannot_keep());
  wait_after(plan, 1ms);
  EXPECT_TRUE(plan.cannot_keep());
}

TEST(restart_plan, a_life_that_was_well_makes_the_ones_before_it_forgotten) {
  const restart_policy policy{.first_delay = 1ms, .crash_limit = 2};
  restart_plan plan{policy};
  wait_after(plan, 1ms);
  wait_after(plan, 2s);
  wait_after(plan, 1ms);
  EXPECT_FALSE(plan.cannot_keep());
  wait_after(plan, 1ms);
  EXPECT_TRUE(plan.cannot_keep());
}

TEST(restart_plan, gives_up_at_once_if_another_try_will_not_help) {
  const restart_policy policy{.crash_limit = 8};
  restart_plan plan{policy};
  EXPECT_FALSE(plan.after({.started = birth, .ended = birth + 1h, .served = 1000, .hopeless = true}).has_value());
}

}  // namespace
