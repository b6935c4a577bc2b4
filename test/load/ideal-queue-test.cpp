#include "load/run/ideal_queue.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <stdexcept>

#include "load/plan/request_plan.hpp"
#include "load/run/histogram.hpp"

namespace {

using namespace std::chrono_literals;
using namespace udppump::load;

struct simulated {
  double mean_wait = 0;     // in units of the mean service time
  double waited_share = 0;  // of requests that did not begin at once
  double mean_sojourn = 0;
  histogram sojourn;
};

constexpr double unit = 1e6;  // nanoseconds of service, in the mean

simulated simulate(std::size_t workers, double load, const char* service, std::size_t count) {
  plan_options options{.rate = load * static_cast<double>(workers) * 1e9 / unit, .length = nanoseconds::max()};
  options.service = service_times::parse(service);
  request_plan plan{options};
  ideal_queue queue{workers};
  simulated result;
  const std::size_t warmup = count / 10;
  for (std::size_t i = 0; i < count + warmup; ++i) {
    const auto request = plan.next();
    const nanoseconds sojourn = queue.serve(request->intended, request->asked);
    if (i < warmup) continue;
    const auto n = static_cast<double>(count);
    result.mean_wait += static_cast<double>((sojourn - request->asked).count()) / unit / n;
    result.mean_sojourn += static_cast<double>(sojourn.count()) / unit / n;
    result.waited_share += (sojourn > request->asked ? 1 : 0) / n;
    result.sojourn.add(sojourn);
  }
  return result;
}

/// Erlang's C formula: the probability that an arrival finds all workers busy in M/M/k.
double erlang_c(std::size_t workers, double load) {
  const double offered = load * static_cast<double>(workers);
  double blocking = 1;  // Erlang's B, by its recursion
  for (std::size_t k = 1; k <= workers; ++k)
    blocking = offered * blocking / (static_cast<double>(k) + offered * blocking);
  return blocking / (1 - load * (1 - blocking));
}

TEST(ideal_queue, waits_are_those_of_erlangs_formula) {
  for (const std::size_t workers : {1u, 2u, 8u, 32u}) {
    for (const double load : {0.5, 0.7, 0.9}) {
      const auto found = simulate(workers, load, "exponential:1ms", 1'000'000);
      const double busy = erlang_c(workers, load);
      const double wait = busy / (static_cast<double>(workers) * (1 - load));
      EXPECT_NEAR(found.waited_share, busy, 0.02 * busy + 0.0005) << workers << " workers at " << load;
      EXPECT_NEAR(found.mean_wait, wait, 0.05 * wait + 0.0005) << workers << " workers at " << load;
    }
  }
}

TEST(ideal_queue, percentiles_of_one_exponential_worker_are_exponential) {
  const auto found = simulate(1, 0.7, "exponential:1ms", 2'000'000);
  for (const double percent : {50.0, 90.0, 99.0}) {
    const double expected = -std::log(1 - percent / 100) / (1 - 0.7) * unit;  // M/M/1: the sojourn is exponential
    EXPECT_NEAR(static_cast<double>(found.sojourn.percentile(percent).count()), expected, 0.05 * expected) << percent;
  }
}

TEST(ideal_queue, the_99th_percentile_of_eight_exponential_workers_is_the_formulas) {
  // M/M/k: sojourn = service + wait; P(wait > t) = C exp(-k (1 - load) t). Integrated numerically for P(sojourn > t).
  const double load = 0.7;
  const double rate = 8 * (1 - load);
  const double busy = erlang_c(8, load);
  const auto beyond = [&](double t) {
    return std::exp(-t) * (1 - busy) + busy * (rate * std::exp(-t) - std::exp(-rate * t)) / (rate - 1);
  };
  double expected = 0;
  while (beyond(expected) > 0.01) expected += 0.0001;
  const auto found = simulate(8, load, "exponential:1ms", 2'000'000);
  EXPECT_NEAR(static_cast<double>(found.sojourn.percentile(99).count()) / unit, expected, 0.02 * expected);
}

TEST(ideal_queue, waits_for_one_worker_are_those_of_pollaczek_and_khinchine) {
  // M/G/1: mean wait = load / (1 - load) * (1 + c^2) / 2, in units of the mean service time.
  const auto constant = simulate(1, 0.8, "constant:1ms", 1'000'000);
  EXPECT_NEAR(constant.mean_wait, 0.8 / 0.2 / 2, 0.1);
  // Half a millisecond or eleven: 1 in 21 is long; mean 1, mean square 0.25 * 20/21 + 121 / 21 = 6.
  const auto two = simulate(1, 0.5, "bimodal:500us,11ms,4.7619047619%", 2'000'000);
  EXPECT_NEAR(two.mean_wait, 0.5 / 0.5 * 6.0 / 2, 0.15);
}

TEST(ideal_queue, the_first_in_line_takes_the_worker_that_is_free_first) {
  ideal_queue queue{2};
  EXPECT_EQ(queue.serve(0ns, 10ns), 10ns);
  EXPECT_EQ(queue.serve(0ns, 4ns), 4ns);
  EXPECT_EQ(queue.serve(1ns, 5ns), 8ns);   // begins at 4, with the worker that is free first
  EXPECT_EQ(queue.serve(2ns, 1ns), 8ns);   // begins at 9
  EXPECT_EQ(queue.serve(30ns, 7ns), 7ns);  // both have been free for long
  EXPECT_EQ(queue.serve(30ns, 3ns), 3ns);
}

TEST(ideal_queue, as_many_workers_as_requests_let_nobody_wait) {
  ideal_queue queue{100};
  for (int i = 0; i < 100; ++i) EXPECT_EQ(queue.serve(0ns, 5ms), 5ms);
  EXPECT_EQ(queue.serve(0ns, 5ms), 10ms);
}

TEST(ideal_queue, without_workers_there_is_no_queue) { EXPECT_THROW(ideal_queue{0}, std::invalid_argument); }

}  // namespace
