#include "load/run/histogram.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "load/plan/random_stream.hpp"

namespace {

using namespace std::chrono_literals;
using udppump::load::histogram;
using udppump::load::nanoseconds;
using udppump::load::random_stream;
using udppump::load::unanswered;

/// The definition itself, in whole numbers: the value at rank ceil(percent / 100 * n).
nanoseconds exact_percentile(const std::vector<nanoseconds>& sorted, std::uint64_t millionths) {
  const std::uint64_t rank = std::max<std::uint64_t>(1, (millionths * sorted.size() + 999'999) / 1'000'000);
  return sorted[rank - 1];
}

void expect_close_to_exact(std::vector<nanoseconds> values) {
  histogram counted;
  for (const auto value : values) counted.add(value);
  std::ranges::sort(values);
  for (const std::uint64_t millionths :
       {1u, 10'000u, 100'000u, 500'000u, 900'000u, 990'000u, 999'000u, 999'900u, 1'000'000u}) {
    const nanoseconds exact = exact_percentile(values, millionths);
    const nanoseconds found = counted.percentile(static_cast<double>(millionths) / 10'000);
    EXPECT_GE(found, exact) << millionths;
    EXPECT_LE(found - exact, exact / 1000) << millionths;
  }
  EXPECT_EQ(counted.max(), values.back());
  EXPECT_EQ(counted.min(), values.front());
  EXPECT_EQ(counted.count(), values.size());
}

TEST(histogram, percentiles_are_at_most_a_thousandth_above_the_exact_ones) {
  random_stream random{1, 0};
  std::vector<nanoseconds> exponential;
  std::vector<nanoseconds> from_all_magnitudes;
  std::vector<nanoseconds> two_values;
  for (int i = 0; i < 100'000; ++i) {
    exponential.emplace_back(static_cast<std::int64_t>(random.exponential() * 1e6));
    from_all_magnitudes.emplace_back(static_cast<std::int64_t>(std::exp2(random.uniform() * 41.9)));
    two_values.push_back(i % 200 == 0 ? 100'500us : 500us);
  }
  expect_close_to_exact(exponential);
  expect_close_to_exact(from_all_magnitudes);
  expect_close_to_exact(two_values);
}

TEST(histogram, small_numbers_of_values_have_percentiles_too) {
  for (std::size_t size = 1; size <= 130; ++size) {
    std::vector<nanoseconds> values;
    for (std::size_t i = 0; i < size; ++i) values.emplace_back(i);  // cells of their own: exact
    histogram counted;
    for (const auto value : values) counted.add(value);
    for (const std::uint64_t millionths : {1u, 10'000u, 333'333u, 500'000u, 990'000u, 999'000u, 1'000'000u}) {
      EXPECT_EQ(counted.percentile(static_cast<double>(millionths) / 10'000), exact_percentile(values, millionths))
          << size << " values, " << millionths;
    }
  }
}

TEST(histogram, a_rank_that_is_whole_is_not_rounded_up_to_the_next) {
  histogram counted;
  for (int i = 1; i <= 1000; ++i) counted.add(nanoseconds{i});
  EXPECT_EQ(counted.percentile(99.9), 999ns);  // 99.9 / 100 * 1000 is 999.0000000000001 in floating point
  EXPECT_EQ(counted.percentile(99), 990ns);
  EXPECT_EQ(counted.percentile(50), 500ns);
}

TEST(histogram, three_significant_digits_at_every_magnitude) {
  for (std::int64_t value = 1; value < histogram::largest.count(); value += value / 3 + 1) {
    histogram counted;
    counted.add(nanoseconds{value});
    counted.add(histogram::largest);  // so that max() does not help
    const auto cell = counted.cells().front();
    EXPECT_LE(cell.first.count(), value);
    EXPECT_GE(cell.last.count(), value);
    EXPECT_LE((cell.last - cell.first).count() * 1000, value) << value;
  }
}

TEST(histogram, what_is_negative_or_too_long_is_counted_at_the_ends) {
  histogram counted;
  counted.add(-5ns);
  counted.add(100h);
  EXPECT_EQ(counted.min(), 0ns);
  EXPECT_EQ(counted.max(), 100h);
  EXPECT_EQ(counted.percentile(50), 0ns);
  EXPECT_EQ(counted.percentile(100), 100h);
}

TEST(histogram, an_empty_one_has_nothing_but_zeros) {
  const histogram empty;
  EXPECT_EQ(empty.percentile(50), 0ns);
  EXPECT_EQ(empty.min(), 0ns);
  EXPECT_EQ(empty.max(), 0ns);
  EXPECT_EQ(empty.mean(), 0ns);
  EXPECT_TRUE(empty.cells().empty());
}

TEST(histogram, parts_add_up_to_the_whole) {
  random_stream random{2, 0};
  histogram whole;
  std::vector<histogram> parts(3);
  for (int i = 0; i < 10'000; ++i) {
    const nanoseconds value{random.below(50'000'000)};
    whole.add(value);
    parts[random.below(3)].add(value);
  }
  histogram merged;
  for (const auto& part : parts) merged.merge(part);
  EXPECT_EQ(merged, whole);
  merged.clear();
  EXPECT_EQ(merged, histogram{});
}

TEST(histogram, the_mean_is_exact) {
  histogram counted;
  for (const auto value : {1'000'001ns, 2'000'003ns, 6'000'005ns}) counted.add(value);
  EXPECT_EQ(counted.mean(), 3'000'003ns);
}

TEST(histogram, requests_without_an_answer_are_longer_than_all_others) {
  histogram counted;
  for (int i = 1; i <= 98; ++i) counted.add(nanoseconds{i});
  EXPECT_EQ(counted.percentile(50, 2), 50ns);
  EXPECT_EQ(counted.percentile(98, 2), 98ns);
  EXPECT_EQ(counted.percentile(99, 2), unanswered);
  EXPECT_EQ(histogram{}.percentile(50, 1), unanswered);
}

}  // namespace
