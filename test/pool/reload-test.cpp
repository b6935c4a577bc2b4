#include <gtest/gtest.h>

#include "pool/reload.hpp"

using udppump::detail::reload;
using step = reload::step;

namespace {

constexpr reload::seen before{.is_manned = true, .old_one_serves = true};
constexpr reload::seen starting{.is_manned = true, .old_one_serves = true};
constexpr reload::seen both_serve{.is_manned = true, .new_one_serves = true, .old_one_serves = true};
constexpr reload::seen old_one_stops{.is_manned = true, .new_one_serves = true, .old_one_stops = true};
constexpr reload::seen new_one_alone{.is_manned = true, .new_one_serves = true};
constexpr reload::seen nobody{};

TEST(reload, replaces_each_worker_new_before_old) {
  reload steps{2};
  for (std::size_t number = 0; number < 2; ++number) {
    EXPECT_EQ(steps.number(), number);
    EXPECT_EQ(steps.next(before), step::start_new);
    EXPECT_EQ(steps.next(starting), step::wait) << "the old one serves until the new one does";
    EXPECT_EQ(steps.next(starting), step::wait);
    EXPECT_EQ(steps.next(both_serve), step::stop_old);
    EXPECT_EQ(steps.next(old_one_stops), step::wait) << "the next one's turn comes when the old one is gone";
    EXPECT_EQ(steps.next(new_one_alone), step::go_on);
  }
  EXPECT_EQ(steps.next(new_one_alone), step::end);
  EXPECT_EQ(steps.next(nobody), step::end);
}

TEST(reload, passes_over_a_worker_that_waits_to_be_restarted) {
  reload steps{3};
  EXPECT_EQ(steps.next(nobody), step::go_on);
  EXPECT_EQ(steps.number(), 1u);
  EXPECT_EQ(steps.next(before), step::start_new);
  EXPECT_EQ(steps.next(new_one_alone), step::go_on) << "the old one died meanwhile";
  EXPECT_EQ(steps.next(nobody), step::go_on);
  EXPECT_EQ(steps.next(nobody), step::end);
}

TEST(reload, starts_one_new_worker_for_each_even_if_the_old_one_dies_before_it_serves) {
  reload steps{1};
  EXPECT_EQ(steps.next(before), step::start_new);
  EXPECT_EQ(steps.next({.is_manned = true}), step::wait);
  EXPECT_EQ(steps.next(new_one_alone), step::go_on);
  EXPECT_EQ(steps.next(new_one_alone), step::end);
}

TEST(reload, stops_a_second_old_worker_that_appears_while_the_first_one_stops) {
  reload steps{1};
  EXPECT_EQ(steps.next(before), step::start_new);
  EXPECT_EQ(steps.next(both_serve), step::stop_old);
  EXPECT_EQ(steps.next({.is_manned = true, .new_one_serves = true, .old_one_serves = true, .old_one_stops = true}),
            step::stop_old);
  EXPECT_EQ(steps.next(old_one_stops), step::wait);
}

TEST(reload, remembers_that_another_was_asked_for) {
  reload steps{1};
  EXPECT_FALSE(steps.asked_again());
  steps.ask_again();
  EXPECT_TRUE(steps.asked_again());
}

}  // namespace
