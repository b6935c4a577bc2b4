// wake_list: how long the parent sleeps.
#include "pool/wake_list.hpp"

#include <gtest/gtest.h>

namespace {

using namespace std::chrono_literals;
using udppump::detail::wake_list;
using udppump::detail::wake_reasons;
using time_point = wake_list::clock::time_point;

TEST(wake_list, has_a_time_for_poll_whatever_it_is_to_wait_for) {
  const time_point now{5h};
  const auto wait = [now](time_point until) { return wake_list::poll_timeout(until, now); };
  EXPECT_EQ(wait(time_point::max()), -1);
  EXPECT_EQ(wait(time_point::min()), 0) << "which no duration from now holds";
  EXPECT_EQ(wait({}), 0);
  EXPECT_EQ(wait(now), 0);
  EXPECT_EQ(wait(now + 1ns), 1) << "not before it is there";
  EXPECT_EQ(wait(now + 1500us), 2);
  EXPECT_EQ(wait(now + 1min), 60'000);
  EXPECT_EQ(wait(now + 24h), 60'000);
  EXPECT_EQ(wait(time_point::max() - 1ns), 60'000);
  EXPECT_EQ(wake_list::poll_timeout(time_point::max() - 1ns, time_point::min() + 1h), 60'000);
}

TEST(wake_list, wakes_at_once_for_what_was_due_for_ever) {
  wake_list none;
  const auto begin = wake_list::clock::now();
  const wake_reasons woken = none.wait(time_point::min());
  EXPECT_EQ(woken.error, 0);
  EXPECT_LT(wake_list::clock::now() - begin, 30s) << "and not in a minute";
}

}  // namespace
