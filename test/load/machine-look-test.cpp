#include "load/run/machine_look.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "load/report/comparison_report.hpp"

namespace {

using namespace std::chrono_literals;
using namespace udppump::load;
using ::testing::AllOf;
using ::testing::HasSubstr;

/// What trials of the series offered, of 70% asked for.
std::vector<trial> trials_of(std::initializer_list<double> real_loads) {
  std::vector<trial> trials;
  for (const double real : real_loads) {
    trials.push_back({.service = service_series[trials.size()], .asked_load = 0.7, .real_load = real});
  }
  return trials;
}

TEST(machine_look, the_shortest_service_time_at_which_the_load_is_offered_is_chosen) {
  const validity_limits limits;
  EXPECT_EQ(choose_service(trials_of({0.70}), limits), 1ms);
  EXPECT_EQ(choose_service(trials_of({0.734}), limits), 1ms);  // half of the limit is for what longer runs meet
  EXPECT_EQ(choose_service(trials_of({0.736, 0.71}), limits), 2ms);
  EXPECT_EQ(choose_service(trials_of({1.7, 1.2, 0.9, 0.8, 0.72}), limits), 20ms);
  EXPECT_EQ(choose_service(trials_of({1.7, 1.2, 0.71, 0.9, 0.9}), limits), 5ms);  // whatever comes after it
  EXPECT_EQ(choose_service(trials_of({1.7, 0.71, 0.9, 0.71, 0.71}), limits), 2ms);
  EXPECT_EQ(choose_service(trials_of({1.7, 1.2, 0.9, 0.8, 0.75}), limits), std::nullopt);
  EXPECT_EQ(choose_service({}, limits), std::nullopt);
  EXPECT_EQ(choose_service(trials_of({0.5, 0.7}), limits), 2ms);  // less than was asked for is not it either
  EXPECT_EQ(choose_service(trials_of({1.7}), {.offered = 10}), 1ms);
}

TEST(machine_look, a_trial_whose_requests_left_late_chooses_nothing) {
  auto trials = trials_of({0.7, 0.7, 0.7});
  trials[0].found = flaw::late;
  trials[1].found = flaw::own_drops;
  EXPECT_EQ(choose_service(trials, {}), 5ms);
  trials[2].found = flaw::gave_up;
  EXPECT_EQ(choose_service(trials, {}), std::nullopt);
}

TEST(machine_look, the_time_that_others_take_is_read_from_proc_stat) {
  const auto read = [](const std::string& text) {
    std::istringstream from{text};
    return read_processor_times(from);
  };
  const auto times = read("cpu  100 1 20 300 40 5 6 70 8 9\ncpu0 1 2 3\n");
  EXPECT_EQ(times.all, 542u);  // guest time is in user time already
  EXPECT_EQ(times.idle, 340u);
  EXPECT_EQ(times.stolen, 70u);
  const auto old = read("cpu 1 2 3 4\n");
  EXPECT_EQ(old.all, 10u);
  EXPECT_EQ(old.stolen, 0u);
  for (const char* none : {"", "\n", "intr 5 6", "cpu0 1 2 3 4", "cpu\n"}) EXPECT_EQ(read(none).all, 0u) << none;

  const auto taken =
      taken_between({.all = 1000, .idle = 500, .stolen = 10}, {.all = 1200, .idle = 540, .stolen = 110}, 0.1);
  EXPECT_DOUBLE_EQ(taken.stolen, 0.5);
  EXPECT_NEAR(taken.others, 0.2, 1e-9);  // of 200: 100 stolen, 40 idle, 20 our own
  EXPECT_EQ(taken_between({.all = 5}, {.all = 5}, 0).stolen, 0);
  const auto backwards = taken_between({.all = 10, .idle = 9, .stolen = 1}, {.all = 20, .idle = 8, .stolen = 1}, 2);
  EXPECT_EQ(backwards.stolen, 0);
  EXPECT_EQ(backwards.others, 0);
}

TEST(machine_look, of_this_machine) {
  look_options options;
  options.server = {.bind = udppump::address::parse("127.0.0.1:0"), .workers = 2};
  options.work = {.workers = 2, .load = 0.5};
  options.services = {2ms, 5ms};
  const auto seen = look_at_machine(options);
  EXPECT_GE(seen.processors, 1u);
  EXPECT_GT(seen.sleep.median, 0ns);
  EXPECT_GE(seen.sleep.p90, seen.sleep.median);
  EXPECT_GT(seen.wake_up.median, 0ns);
  EXPECT_GE(seen.wake_up.p90, seen.wake_up.median);
  EXPECT_GE(seen.stolen, 0);
  EXPECT_LE(seen.stolen + seen.others, 1);
  ASSERT_GE(seen.trials.size(), 1u);
  EXPECT_EQ(seen.trials[0].service, 2ms);
  EXPECT_GT(seen.trials[0].asked_load, 0);
  // The second was tried only if the first was not good.
  EXPECT_EQ(seen.trials.size(), can_be_offered(seen.trials[0], {}) ? 1u : 2u);
  EXPECT_THAT(to_text(seen), AllOf(HasSubstr("processors"), HasSubstr("stolen"), HasSubstr("a wake-up takes")));
}

TEST(machine_look, an_interrupt_ends_it_early) {
  const std::atomic<bool> interrupted{true};
  EXPECT_EQ(look_at_machine({.interrupted = &interrupted}).trials.size(), 0u);
}

TEST(machine_look, says_what_was_offered_at_each_service_time) {
  auto trials = trials_of({1.7, 0.9, 0.71});
  trials[1].found = flaw::late;
  EXPECT_EQ(to_text(trials, {.load = 0.7}), "1.00 ms: 170%, 2.00 ms: requests left late, 5.00 ms: 71%");
}

}  // namespace
