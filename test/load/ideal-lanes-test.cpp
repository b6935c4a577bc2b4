#include "load/run/ideal_lanes.hpp"

#include <gtest/gtest.h>

#include <stdexcept>

#include "load/plan/request_plan.hpp"
#include "load/run/ideal_queue.hpp"

namespace {

using namespace std::chrono_literals;
using namespace udppump::load;

constexpr double unit = 1e6;  // nanoseconds of service, in the mean

struct traffic {
  std::size_t workers;
  double load;
  const char* service;
  /// What share of the requests has the first lane, whatever they take; 0: those of the short time have.
  double first_share = 0;
};

std::vector<lane_request> requests_of(const traffic& wanted, std::size_t count) {
  plan_options options{.rate = wanted.load * static_cast<double>(wanted.workers) * 1e9 / unit,
                       .length = nanoseconds::max()};
  options.service = service_times::parse(wanted.service);
  request_plan plan{options};
  random_stream choice{1, 99};
  std::vector<lane_request> all;
  for (std::size_t i = 0; i < count; ++i) {
    const auto request = plan.next();
    const bool first =
        wanted.first_share > 0 ? choice.uniform() < wanted.first_share : request->asked == options.service.short_time;
    all.push_back({.arrival = request->intended, .service = request->asked, .lane = first ? 0u : 1u});
  }
  return all;
}

/// The mean time that requests of a lane wait, in units of the mean service time; the first tenth is left out.
double mean_wait(std::span<const lane_request> requests, std::span<const nanoseconds> sojourn, std::size_t lane) {
  double sum = 0, count = 0;
  for (std::size_t i = requests.size() / 10; i < requests.size(); ++i) {
    if (requests[i].lane != lane) continue;
    sum += static_cast<double>((sojourn[i] - requests[i].service).count()) / unit;
    ++count;
  }
  return sum / count;
}

struct waits {
  double first, second;
};

waits simulate(const traffic& wanted, std::vector<std::size_t> reserve = {0, 0}) {
  const auto requests = requests_of(wanted, 1'000'000);
  const auto sojourn = serve_in_ideal_lanes(requests, wanted.workers, reserve);
  return {mean_wait(requests, sojourn, 0), mean_wait(requests, sojourn, 1)};
}

/// Erlang's C formula: the probability that an arrival finds all workers busy in M/M/k.
double erlang_c(std::size_t workers, double load) {
  const double offered = load * static_cast<double>(workers);
  double blocking = 1;
  for (std::size_t k = 1; k <= workers; ++k)
    blocking = offered * blocking / (static_cast<double>(k) + offered * blocking);
  return blocking / (1 - load * (1 - blocking));
}

TEST(ideal_lanes, one_worker_waits_as_cobhams_formula_says) {
  // M/G/1 with priorities and without preemption (Cobham 1954): W1 = R / (1 - load1), W2 = W1 / (1 - load), where R is
  // load / 2 times the mean square of service over its mean.
  for (const double load : {0.5, 0.8}) {
    const auto found = simulate({.workers = 1, .load = load, .service = "exponential:1ms", .first_share = 0.5});
    const double first = load / (1 - load / 2);
    EXPECT_NEAR(found.first, first, 0.03 * first) << load;
    EXPECT_NEAR(found.second, first / (1 - load), 0.06 * first / (1 - load)) << load;
  }
}

TEST(ideal_lanes, one_worker_with_short_and_long_requests_waits_as_cobhams_formula_says) {
  // Half a millisecond or eleven: 1 in 21 is long; mean 1, mean square 6.
  const double load = 0.6, first_load = load * 0.5 * 20 / 21;
  const auto found = simulate({.workers = 1, .load = load, .service = "bimodal:500us,11ms,4.7619047619%"});
  const double first = load * 6.0 / 2 / (1 - first_load);
  EXPECT_NEAR(found.first, first, 0.04 * first);
  EXPECT_NEAR(found.second, first / (1 - load), 0.08 * first / (1 - load));
}

TEST(ideal_lanes, many_workers_wait_as_cobhams_formula_says) {
  // M/M/k: W1 = C / k / (1 - load1), W2 = W1 / (1 - load), with C as Erlang has it.
  const double load = 0.8, first_share = 0.7;
  const auto found = simulate({.workers = 8, .load = load, .service = "exponential:1ms", .first_share = first_share});
  const double first = erlang_c(8, load) / 8 / (1 - load * first_share);
  EXPECT_NEAR(found.first, first, 0.04 * first);
  EXPECT_NEAR(found.second, first / (1 - load), 0.06 * first / (1 - load));
}

TEST(ideal_lanes, one_lane_alone_is_the_ideal_queue) {
  const auto requests =
      requests_of({.workers = 8, .load = 0.9, .service = "exponential:1ms", .first_share = 1}, 20'000);
  const auto sojourn = serve_in_ideal_lanes(requests, 8, std::vector<std::size_t>{0, 0});
  ideal_queue queue{8};
  for (std::size_t i = 0; i < requests.size(); ++i) {
    ASSERT_EQ(sojourn[i], queue.serve(requests[i].arrival, requests[i].service)) << i;
  }
}

TEST(ideal_lanes, long_requests_alone_have_the_workers_that_are_not_reserved) {
  auto requests = requests_of({.workers = 8, .load = 0.6, .service = "exponential:1ms", .first_share = 1}, 20'000);
  for (auto& each : requests) each.lane = 1;
  const auto sojourn = serve_in_ideal_lanes(requests, 8, std::vector<std::size_t>{3, 0});
  ideal_queue queue{5};
  for (std::size_t i = 0; i < requests.size(); ++i) {
    ASSERT_EQ(sojourn[i], queue.serve(requests[i].arrival, requests[i].service)) << i;
  }
}

TEST(ideal_lanes, a_free_worker_takes_the_first_lane_and_is_not_interrupted) {
  const std::vector<lane_request> requests{
      {0ns, 10ns, 1},  // begins at once
      {1ns, 10ns, 1},  // waits for the two short ones, until 14
      {2ns, 2ns, 0},   // waits until 10
      {3ns, 2ns, 0},   // until 12
      {14ns, 1ns, 0},  // has come when the long one has begun: until 24
  };
  EXPECT_EQ(serve_in_ideal_lanes(requests, 1, std::vector<std::size_t>{0, 0}),
            (std::vector<nanoseconds>{10ns, 23ns, 10ns, 11ns, 11ns}));
}

TEST(ideal_lanes, a_reserved_worker_stays_free_of_long_requests_and_takes_short_ones_first) {
  const std::vector<lane_request> requests{
      {0ns, 10ns, 1},   // the second worker
      {1ns, 10ns, 1},   // waits until 10 though the first worker is free
      {2ns, 5ns, 0},    // the first worker, at once
      {3ns, 2ns, 0},    // waits until 7
      {30ns, 5ns, 0},   // both are free: the reserved one,
      {30ns, 10ns, 1},  // so that this one need not wait
  };
  EXPECT_EQ(serve_in_ideal_lanes(requests, 2, std::vector<std::size_t>{1, 0}),
            (std::vector<nanoseconds>{10ns, 19ns, 5ns, 6ns, 5ns, 10ns}));
}

TEST(ideal_lanes, three_lanes_reserve_one_after_the_other) {
  const std::vector<lane_request> requests{
      {0ns, 10ns, 2},  // the third worker alone serves it
      {0ns, 10ns, 2},  // waits
      {0ns, 4ns, 1},   // the second
      {0ns, 4ns, 1},   // waits until 4, as the first is for the first lane
      {0ns, 3ns, 0},   // the first
      {9ns, 1ns, 0},   // the first again
  };
  EXPECT_EQ(serve_in_ideal_lanes(requests, 3, std::vector<std::size_t>{1, 1, 0}),
            (std::vector<nanoseconds>{10ns, 20ns, 4ns, 8ns, 3ns, 1ns}));
}

TEST(ideal_lanes, each_lane_needs_a_worker_and_each_request_a_lane) {
  EXPECT_THROW(serve_in_ideal_lanes({}, 0, std::vector<std::size_t>{0, 0}), std::invalid_argument);
  EXPECT_THROW(serve_in_ideal_lanes({}, 2, std::vector<std::size_t>{2, 0}), std::invalid_argument);
  EXPECT_TRUE(serve_in_ideal_lanes({}, 2, std::vector<std::size_t>{1, 0}).empty());
  const std::vector<lane_request> strange{{0ns, 1ns, 2}};
  EXPECT_THROW(serve_in_ideal_lanes(strange, 2, std::vector<std::size_t>{1, 0}), std::invalid_argument);
}

}  // namespace
