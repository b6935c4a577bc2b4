// How long datagrams have waited, by stamps of a wall clock that is set meanwhile. No time passes but in the test.
#include <gtest/gtest.h>

#include <chrono>

#include <vector>

#include "socket/arrival_clock.hpp"

using namespace std::chrono_literals;
using std::chrono::nanoseconds;
using udppump::detail::arrival_clock;

namespace {

/// A machine whose wall clock may be set.
struct arrival_clock_test : testing::Test {
  arrival_clock::reading now() const { return {steady, arrival_clock::wall{steady.time_since_epoch() + offset}}; }
  /// What the kernel writes on a datagram that comes now.
  arrival_clock::wall stamp() const { return now().shown; }
  nanoseconds age(arrival_clock::wall stamp) { return clock.age(stamp, now()); }

  arrival_clock::steady steady{1000s};
  nanoseconds offset = 1'700'000'000s;
  arrival_clock clock;
};

TEST_F(arrival_clock_test, an_age_is_the_time_since_the_stamp) {
  for (const auto waited : {0ms, 1ms, 40ms, 3000ms}) {
    steady += 10s;
    const auto came = stamp();
    steady += waited;
    EXPECT_EQ(age(came), waited);
    EXPECT_EQ(clock.earliest(), steady - waited) << "what comes next is no older";
  }
}

TEST_F(arrival_clock_test, when_the_clock_is_set_what_waits_keeps_its_age_and_so_does_what_comes_later) {
  for (const nanoseconds step : {nanoseconds{10s}, nanoseconds{-10s}, nanoseconds{30ms}, nanoseconds{-30ms},
                                 nanoseconds{87'600h}, nanoseconds{-87'600h}}) {
    clock = {};
    for (int time = 0; time < 3; ++time) {
      const auto early = stamp();
      steady += 20ms;
      EXPECT_EQ(age(early), 20ms);
      const auto before = stamp();
      steady += 5ms;
      offset += step;
      steady += 5ms;
      const auto after = stamp();
      steady += 5ms;
      EXPECT_EQ(age(before), 15ms) << step.count() << " ns, time " << time;
      EXPECT_EQ(age(after), 5ms) << step.count() << " ns, time " << time;
      steady += 100ms;
    }
  }
}

TEST_F(arrival_clock_test, a_queue_of_before_the_step_is_as_old_as_it_is_up_to_its_last_datagram) {
  for (const nanoseconds step : {nanoseconds{1h}, nanoseconds{-1h}}) {
    clock = {};
    EXPECT_EQ(age(stamp()), 0ms);
    std::vector<arrival_clock::wall> queue;
    for (int count = 0; count < 50; ++count) {
      queue.push_back(stamp());
      steady += 10ms;
      if (count == 24) offset += step;
      if (count == 30) {
        EXPECT_EQ(age(queue[0]), 310ms);
      }
    }
    for (int count = 1; count < 50; ++count)
      EXPECT_EQ(age(queue[static_cast<std::size_t>(count)]), 10ms * (50 - count)) << count;
  }
}

TEST_F(arrival_clock_test, of_a_step_that_was_slept_through_what_is_fresh_stays_fresh) {
  for (const nanoseconds step : {nanoseconds{1h}, nanoseconds{-1h}}) {
    clock = {};
    EXPECT_EQ(age(stamp()), 0ms);
    steady += 24h;  // nothing came
    offset += step;
    clock.was_empty(steady - 3h);
    const auto came = stamp();
    steady += 2ms;
    EXPECT_EQ(age(came), 2ms);
  }
}

TEST_F(arrival_clock_test, no_age_is_negative_or_goes_back_before_what_was_taken_or_the_empty_queue) {
  const auto came = stamp();
  steady += 10ms;
  EXPECT_EQ(age(came + 5h), 0ms) << "from the future";
  clock = {};
  EXPECT_EQ(age(came), 10ms);
  steady += 10ms;
  EXPECT_EQ(age(came - 5h), 20ms) << "it came after the one before";
  clock.was_empty(steady);
  steady += 1ms;
  clock.was_empty(steady - 5ms);
  EXPECT_EQ(clock.earliest(), steady - 1ms);
  EXPECT_EQ(age(came - 5h), 1ms) << "it came after the queue was empty";
}

TEST_F(arrival_clock_test, stamps_that_are_a_little_out_of_order_are_no_step) {
  const auto came = stamp();
  steady += 10ms;
  offset += 200us;  // as one reading was interrupted
  EXPECT_EQ(age(came), 10ms + 200us);
  EXPECT_EQ(age(came - 100us), 10ms + 200us);
  offset -= 200us;
  EXPECT_EQ(age(stamp() - 5ms), 5ms);
}

TEST(arrival_clock_reading, both_clocks_are_read_at_one_time) {
  const auto before = std::chrono::steady_clock::now();
  const auto one = arrival_clock::read();
  EXPECT_GE(one.now, before);
  EXPECT_LE(one.now, std::chrono::steady_clock::now());
  EXPECT_LE(one.shown, std::chrono::system_clock::now());
}

}  // namespace
