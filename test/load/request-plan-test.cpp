#include "load/plan/request_plan.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <vector>

namespace {

using namespace std::chrono_literals;
using namespace udppump::load;

std::vector<double> seconds_of_arrivals(const arrival_pattern& pattern, double rate, std::size_t count,
                                        std::uint64_t seed = 1) {
  arrival_schedule schedule{pattern, rate, seed};
  std::vector<double> times;
  while (times.size() < count) times.push_back(std::chrono::duration<double>{schedule.next()}.count());
  return times;
}

std::vector<double> gaps(const std::vector<double>& times) {
  std::vector<double> between{times.front()};
  for (std::size_t i = 1; i < times.size(); ++i) between.push_back(times[i] - times[i - 1]);
  return between;
}

/// The largest distance between the distribution of samples and a cumulative distribution function, times the square
/// root of their number (Kolmogorov and Smirnov): above 1.95 in one of 1000 series of truly such samples.
double distance(std::vector<double> samples, const std::function<double(double)>& cumulative) {
  std::ranges::sort(samples);
  const auto n = static_cast<double>(samples.size());
  double largest = 0;
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const double expected = cumulative(samples[i]);
    largest = std::max({largest, expected - static_cast<double>(i) / n, static_cast<double>(i + 1) / n - expected});
  }
  return largest * std::sqrt(n);
}

double exponential(double x, double mean) { return 1 - std::exp(-x / mean); }

TEST(arrival_schedule, poisson_gaps_are_exponential) {
  for (const std::uint64_t seed : {1u, 2u, 3u}) {
    const auto between = gaps(seconds_of_arrivals({}, 5000, 50'000, seed));
    EXPECT_LT(distance(between, [](double gap) { return exponential(gap, 1.0 / 5000); }), 1.95) << seed;
  }
}

TEST(arrival_schedule, poisson_gaps_do_not_depend_on_the_one_before) {
  const auto between = gaps(seconds_of_arrivals({}, 1000, 50'000));
  double covariance = 0;
  double variance = 0;
  for (std::size_t i = 1; i < between.size(); ++i) {
    covariance += (between[i] - 1e-3) * (between[i - 1] - 1e-3);
    variance += (between[i] - 1e-3) * (between[i] - 1e-3);
  }
  EXPECT_LT(std::abs(covariance / variance), 4 / std::sqrt(50'000));
}

TEST(arrival_schedule, as_many_arrive_in_a_second_as_poisson_says) {
  std::map<int, int> seconds;
  for (const double time : seconds_of_arrivals({}, 100, 100'000)) ++seconds[static_cast<int>(time)];
  seconds.erase(std::prev(seconds.end()));  // not over
  double mean = 0;
  double variance = 0;
  for (const auto& [second, count] : seconds) mean += count / static_cast<double>(seconds.size());
  for (const auto& [second, count] : seconds)
    variance += (count - mean) * (count - mean) / static_cast<double>(seconds.size());
  EXPECT_NEAR(mean, 100, 2);
  EXPECT_NEAR(variance, 100, 20);  // 4.5 standard errors: sqrt(2 / 1000) of it is one
}

TEST(arrival_schedule, constant_gaps_do_not_drift) {
  arrival_schedule schedule{{.kind = arrival_kind::constant}, 3, 1};
  nanoseconds last{0};
  for (int i = 0; i < 3'000'000; ++i) last = schedule.next();
  EXPECT_NEAR(static_cast<double>(last.count()), 1e15, 1);  // three a second for a million seconds
}

TEST(arrival_schedule, bursts_come_together_and_at_independent_times) {
  const auto times = seconds_of_arrivals({.kind = arrival_kind::bursts, .burst = 20}, 10'000, 200'000);
  std::vector<double> firsts;
  for (std::size_t i = 0; i < times.size(); ++i) {
    EXPECT_EQ(times[i], times[i - i % 20]);
    if (i % 20 == 0) firsts.push_back(times[i]);
  }
  EXPECT_LT(distance(gaps(firsts), [](double gap) { return exponential(gap, 20.0 / 10'000); }), 1.95);
  EXPECT_NEAR(times.back(), 20, 1);  // the rate is that of requests
}

TEST(arrival_schedule, a_seed_gives_one_series_which_another_rate_stretches) {
  const auto once = seconds_of_arrivals({}, 1000, 1000);
  EXPECT_EQ(once, seconds_of_arrivals({}, 1000, 1000));
  EXPECT_NE(once, seconds_of_arrivals({}, 1000, 1000, 2));
  const auto slower = seconds_of_arrivals({}, 500, 1000);
  for (std::size_t i = 0; i < once.size(); ++i) EXPECT_NEAR(slower[i], 2 * once[i], 1e-8);
}

TEST(arrival_schedule, patterns_are_written_as_they_are_read) {
  for (const auto* text : {"poisson", "constant", "bursts:20"})
    EXPECT_EQ(arrival_pattern::parse(text).to_string(), text);
  for (const auto* text : {"", "bursts", "bursts:", "bursts:0", "bursts:-1", "bursts:2x", "normal"}) {
    EXPECT_THROW(arrival_pattern::parse(text), std::invalid_argument) << text;
  }
}

std::vector<double> milliseconds_of_service(const char* text, std::size_t count) {
  random_stream random{7, 0};
  const auto times = service_times::parse(text);
  std::vector<double> drawn;
  while (drawn.size() < count) drawn.push_back(std::chrono::duration<double, std::milli>{times.draw(random)}.count());
  return drawn;
}

TEST(service_times, exponential_ones_are_exponential) {
  EXPECT_LT(distance(milliseconds_of_service("exponential:3ms", 50'000), [](double x) { return exponential(x, 3); }),
            1.95);
}

TEST(service_times, bimodal_ones_have_two_values_in_their_shares) {
  const auto drawn = milliseconds_of_service("bimodal:1ms", 200'000);
  const auto longs = std::ranges::count(drawn, 100.5);
  EXPECT_EQ(longs + std::ranges::count(drawn, 0.5), 200'000);
  EXPECT_NEAR(static_cast<double>(longs), 1000, 140);
  EXPECT_EQ(service_times::parse("bimodal:1ms").mean, 1ms);
  EXPECT_EQ(service_times::parse("bimodal:1ms,101ms,1%").mean, 2ms);
}

TEST(service_times, constant_ones_are_constant) {
  const auto drawn = milliseconds_of_service("constant:250us", 10);
  EXPECT_EQ(std::ranges::count(drawn, 0.25), 10);
}

TEST(service_times, what_is_none_is_refused_with_what_was_expected) {
  for (const auto* text : {"", "1ms", "constant", "constant:", "constant:1", "exponential:-1ms", "bimodal:1ms,2ms",
                           "bimodal:1ms,2ms,150%", "bimodal:1ms,2ms,0.5%,1", "normal:1ms"}) {
    EXPECT_THROW(service_times::parse(text), std::invalid_argument) << text;
  }
}

TEST(request_plan, the_same_options_give_the_same_plan_and_another_service_the_same_arrivals) {
  const plan_options options{
      .rate = 2000, .length = 1s, .flows = 8, .service = service_times::parse("exponential:1ms")};
  plan_options with_other_service = options;
  with_other_service.service = service_times::parse("constant:5ms");
  request_plan one{options};
  request_plan again{options};
  request_plan other{with_other_service};
  std::uint64_t count = 0;
  std::vector<int> flows(8);
  while (const auto request = one.next()) {
    const auto same = again.next();
    const auto served_otherwise = other.next();
    ASSERT_TRUE(same && served_otherwise);
    EXPECT_EQ(request->index, count++);
    EXPECT_EQ(request->intended, same->intended);
    EXPECT_EQ(request->flow, same->flow);
    EXPECT_EQ(request->asked, same->asked);
    EXPECT_EQ(request->intended, served_otherwise->intended);
    EXPECT_EQ(request->flow, served_otherwise->flow);
    EXPECT_EQ(served_otherwise->asked, 5ms);
    EXPECT_LT(request->intended, 1s);
    ++flows[request->flow];
  }
  EXPECT_NEAR(static_cast<double>(count), 2000, 200);
  for (const int share : flows) EXPECT_NEAR(share, 250, 75);
  EXPECT_FALSE(again.next());
}

}  // namespace
