#include "top_frame.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

#include "status/planted.hpp"

using namespace udppump;
using namespace udppump::tools;
using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::StartsWith;

namespace {

std::string whole(const std::vector<frame_line>& lines) {
  std::string text;
  for (const frame_line& each : lines) text += each.text + '\n';
  return text;
}

two_looks one_second_apart(std::size_t workers) {
  two_looks looks{.now = planted_pool(workers, 1'100), .before = planted_pool(workers, 1'000), .seconds = 1};
  for (worker_status& each : looks.now.workers) each.usage->cpu += (each.number + 1) * 100ms;
  return looks;
}

TEST(top_frame, shows_rates_a_second) {
  auto looks = one_second_apart(2);
  looks.now.sockets[0].drops = 12;
  top_view view;
  const auto lines = frame_of(looks, view);
  ASSERT_EQ(lines.size(), 24u);
  const std::string text = whole(lines);
  EXPECT_THAT(text, StartsWith("dns (pid 4711)  up 3h, 2 of 2 workers (handlers), udppump 0.1.0\n"));
  EXPECT_THAT(text, HasSubstr("received 200/s, handled 200/s, expired 0/s"));
  EXPECT_THAT(text, HasSubstr("[########  ]   75%   340ms     12     5.00\n")) << text;
  EXPECT_THAT(text, HasSubstr("unix:/run/dns     -             -     -       -      -        -\n")) << text;
  EXPECT_THAT(text, HasSubstr("0       5000   idle    -        100  1.54us  1.54us  10%"));
  EXPECT_THAT(text, HasSubstr("1       5001   idle    -        100  1.54us  1.54us  20%"));
  std::size_t alarms = 0;
  for (const frame_line& each : lines) alarms += each.as == frame_line::style::alarm ? 1 : 0;
  EXPECT_EQ(alarms, 1u) << "the queue that is full";
}

TEST(top_frame, has_no_rates_after_the_first_look_and_of_what_is_another) {
  auto looks = one_second_apart(2);
  looks.before.reset();
  top_view view;
  EXPECT_THAT(whole(frame_of(looks, view)), HasSubstr("received -/s"));
  looks = one_second_apart(2);
  looks.before->workers[0].pid = 1;  // it was replaced
  EXPECT_THAT(whole(frame_of(looks, view)), HasSubstr("0       5000   idle    -          -       -       -    -"));
}

TEST(top_frame, fits_any_terminal) {
  const auto looks = one_second_apart(200);
  for (std::size_t rows = 0; rows < 60; ++rows) {
    for (const std::size_t columns : {0u, 1u, 20u, 79u, 80u, 300u}) {
      for (const bool help : {false, true}) {
        top_view view{.skipped = 150, .help = help, .columns = columns, .rows = rows};
        const auto lines = frame_of(looks, view);
        ASSERT_EQ(lines.size(), rows) << rows << 'x' << columns;
        for (const frame_line& each : lines) ASSERT_LE(each.text.size(), columns);
        ASSERT_EQ(frame_of("the pool has ended", view).size(), rows);
      }
    }
  }
}

TEST(top_frame, has_room_in_eighty_columns) {
  auto looks = one_second_apart(3);
  for (worker_status& each : looks.now.workers) {
    each.state = worker_state::handling;
    each.handling_for = 340ms;
    each.pid = 4'194'303;
  }
  top_view view{.columns = 1'000};
  for (const bool help : {false, true}) {
    view.help = help;
    for (const frame_line& each : frame_of(looks, view)) EXPECT_LE(each.text.size(), 80u) << each.text;
  }
}

TEST(top_frame, scrolls_as_far_as_there_are_workers) {
  const auto looks = one_second_apart(100);
  top_view view{.skipped = SIZE_MAX};
  std::string text = whole(frame_of(looks, view));
  EXPECT_THAT(text, HasSubstr("\n99 "));
  EXPECT_THAT(text, HasSubstr("of 100"));
  EXPECT_LT(view.skipped, 100u);
  view.skipped = 0;
  text = whole(frame_of(looks, view));
  EXPECT_THAT(text, HasSubstr("\n0 "));
  EXPECT_THAT(text, testing::Not(HasSubstr("\n99 ")));
}

TEST(top_frame, sorts_by_what_the_key_chose) {
  auto looks = one_second_apart(3);
  looks.now.workers[1].traffic = planted_traffic(5'000);
  looks.now.workers[2].handling_for = 1s;
  const auto first = [&](worker_order order) {
    top_view view{.order = order};
    const auto lines = frame_of(looks, view);
    for (std::size_t at = 0; at < lines.size(); ++at) {
      if (lines[at].text.starts_with("WORKER")) return lines[at + 1].text.substr(0, 1);
    }
    return std::string{};
  };
  EXPECT_EQ(first(worker_order::number), "0");
  EXPECT_EQ(first(worker_order::handled), "1");
  EXPECT_EQ(first(worker_order::busy), "2");
  EXPECT_EQ(first(worker_order::cpu), "2");
  EXPECT_EQ(first(worker_order::memory), "0") << "all have the same";
  worker_order order = worker_order::number;
  for (int times = 0; times < 5; ++times) order = after(order);
  EXPECT_EQ(order, worker_order::number) << "round and round";
}

TEST(top_frame, a_histogram_that_went_back_is_of_another_and_counts_nothing) {
  const auto less = planted_traffic(5).times;
  const auto more = planted_traffic(9).times;
  EXPECT_EQ(between(less, more).total(), 4u);
  EXPECT_EQ(between(more, less).total(), 0u);
  EXPECT_EQ(between({}, more).total(), 9u);
}

}  // namespace
