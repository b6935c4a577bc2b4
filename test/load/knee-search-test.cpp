#include "load/run/knee_search.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace {

using udppump::load::find_knee;
using udppump::load::knee;
using udppump::load::verdict;

verdict up_to(double limit, double rate) { return rate <= limit ? verdict::good : verdict::bad; }

TEST(knee_search, a_known_knee_is_found_from_below_and_from_above) {
  for (const double limit : {3.0, 437.0, 1000.0, 1001.0, 250'000.0}) {
    const knee found =
        find_knee({.first_rate = 1000, .precision = 1.02}, [&](double rate) { return up_to(limit, rate); });
    EXPECT_LE(found.good, limit);
    EXPECT_GT(found.bad, limit);
    EXPECT_LE(found.bad / found.good, 1.02);
    EXPECT_FALSE(found.invalid);
  }
}

TEST(knee_search, a_machine_that_stumbles_once_is_tried_again) {
  int calls = 0;
  const knee found =
      find_knee({.first_rate = 1000}, [&](double rate) { return ++calls == 2 ? verdict::bad : up_to(5000, rate); });
  EXPECT_LE(found.good, 5000);
  EXPECT_GT(found.good, 5000 / 1.06);
}

TEST(knee_search, where_no_rate_is_good_it_says_so_and_ends) {
  const knee found = find_knee({.first_rate = 1000}, [](double) { return verdict::bad; });
  EXPECT_EQ(found.good, 0);
}

TEST(knee_search, where_every_rate_is_good_it_ends) {
  const knee found = find_knee({.first_rate = 1000, .highest_rate = 100'000}, [](double) { return verdict::good; });
  EXPECT_EQ(found.good, 64'000);
  EXPECT_EQ(found.bad, 0);
}

TEST(knee_search, the_limit_of_the_load_is_not_taken_for_the_targets) {
  const knee found =
      find_knee({.first_rate = 1000}, [](double rate) { return rate < 10'000 ? verdict::good : verdict::invalid; });
  EXPECT_TRUE(found.invalid);
  EXPECT_LT(found.good, 10'000);
}

TEST(knee_search, an_interrupt_or_a_target_that_goes_away_invents_no_bound) {
  for (const verdict end : {verdict::interrupted, verdict::target_gone}) {
    for (int at = 1; at <= 12; ++at) {
      int calls = 0;
      double best = 0;
      const knee found = find_knee({.first_rate = 1000}, [&](double rate) {
        if (++calls == at) return end;
        const verdict seen = up_to(5000, rate);
        if (seen == verdict::good) best = rate;
        return seen;
      });
      if (calls < at) continue;  // the search was over before
      EXPECT_EQ(calls, at);
      EXPECT_TRUE(found.cut_short);
      EXPECT_EQ(found.good, best);
      EXPECT_TRUE(found.bad == 0 || found.bad > 5000) << found.bad;
      EXPECT_FALSE(found.invalid);
    }
  }
  EXPECT_FALSE(find_knee({}, [](double rate) { return up_to(5000, rate); }).cut_short);
}

}  // namespace
