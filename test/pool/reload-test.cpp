#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "pool/reload.hpp"

using testing::ElementsAre;
using testing::IsEmpty;
using udppump::detail::reload;
using step = reload::step;

namespace {

constexpr reload::seen before{.old_one_serves = true};
constexpr reload::seen both_serve{.old_one_serves = true, .new_one_is_tried = true};
constexpr reload::seen proven{.old_one_serves = true};
constexpr reload::seen old_one_stops{.old_one_stops = true};
constexpr reload::seen new_one_alone{};
constexpr reload::seen nobody{};

TEST(reload, replaces_each_worker_new_before_old) {
  reload steps{2, 1};
  for (std::size_t number = 0; number < 2; ++number) {
    EXPECT_THAT(steps.turns(), ElementsAre(number));
    EXPECT_EQ(steps.next(number, before), step::start_new);
    EXPECT_EQ(steps.next(number, both_serve), step::wait) << "the old one serves until the new one is proven";
    EXPECT_EQ(steps.next(number, both_serve), step::wait);
    EXPECT_EQ(steps.next(number, proven), step::stop_old);
    EXPECT_EQ(steps.next(number, old_one_stops), step::wait) << "the next one's turn comes when the old one is gone";
    EXPECT_THAT(steps.turns(), ElementsAre(number));
    EXPECT_EQ(steps.next(number, new_one_alone), step::go_on);
  }
  EXPECT_THAT(steps.turns(), IsEmpty());
}

TEST(reload, replaces_as_many_at_a_time_as_it_may) {
  reload steps{5, 3};
  EXPECT_THAT(steps.turns(), ElementsAre(0, 1, 2));
  for (const std::size_t number : {0, 1, 2}) EXPECT_EQ(steps.next(number, before), step::start_new);
  EXPECT_EQ(steps.next(3, before), step::wait) << "it is not its turn";
  EXPECT_EQ(steps.next(1, proven), step::stop_old);
  EXPECT_EQ(steps.next(0, both_serve), step::wait);
  EXPECT_EQ(steps.next(1, new_one_alone), step::go_on);
  EXPECT_THAT(steps.turns(), ElementsAre(0, 2, 3));
  EXPECT_EQ(steps.next(0, new_one_alone), step::go_on);
  EXPECT_EQ(steps.next(2, new_one_alone), step::go_on);
  EXPECT_THAT(steps.turns(), ElementsAre(3, 4));
}

TEST(reload, passes_over_a_worker_that_waits_to_be_restarted) {
  reload steps{3, 1};
  EXPECT_THAT(steps.turns(), ElementsAre(0));
  EXPECT_EQ(steps.next(0, nobody), step::go_on);
  EXPECT_THAT(steps.turns(), ElementsAre(1));
  EXPECT_EQ(steps.next(1, before), step::start_new);
  EXPECT_EQ(steps.next(1, new_one_alone), step::go_on) << "the old one died meanwhile";
  EXPECT_THAT(steps.turns(), ElementsAre(2));
  EXPECT_EQ(steps.next(2, nobody), step::go_on);
  EXPECT_THAT(steps.turns(), IsEmpty());
}

TEST(reload, tries_a_new_worker_also_if_the_old_one_dies_meanwhile) {
  reload steps{1, 1};
  EXPECT_THAT(steps.turns(), ElementsAre(0));
  EXPECT_EQ(steps.next(0, before), step::start_new);
  EXPECT_EQ(steps.next(0, {.new_one_is_tried = true}), step::wait);
  EXPECT_EQ(steps.next(0, new_one_alone), step::go_on);
  EXPECT_THAT(steps.turns(), IsEmpty());
}

TEST(reload, waits_for_the_end_of_what_an_earlier_one_has_told_to_stop) {
  reload steps{1, 1};
  EXPECT_THAT(steps.turns(), ElementsAre(0));
  EXPECT_EQ(steps.next(0, {.old_one_serves = true, .old_one_stops = true}), step::wait);
  EXPECT_EQ(steps.next(0, before), step::start_new);
}

TEST(reload, remembers_that_another_was_asked_for) {
  reload steps{1, 1};
  EXPECT_FALSE(steps.asked_again());
  steps.ask_again();
  EXPECT_TRUE(steps.asked_again());
}

}  // namespace
