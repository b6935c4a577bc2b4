#include "load/plan/quantity.hpp"

#include <gtest/gtest.h>

#include <stdexcept>

namespace {

using namespace std::chrono_literals;
using udppump::load::parse_duration;
using udppump::load::parse_duration_in;

TEST(quantity, a_time_has_a_unit) {
  EXPECT_EQ(parse_duration("800ns"), 800ns);
  EXPECT_EQ(parse_duration("250us"), 250us);
  EXPECT_EQ(parse_duration("1.5ms"), 1500us);
  EXPECT_EQ(parse_duration("10s"), 10s);
  EXPECT_EQ(parse_duration("2m"), 2min);
  EXPECT_EQ(parse_duration("2min"), 2min);
  EXPECT_EQ(parse_duration("0.5h"), 30min);
  EXPECT_EQ(parse_duration("0"), 0ns);
}

TEST(quantity, a_time_without_a_unit_is_one_where_a_unit_is_agreed_on) {
  EXPECT_EQ(parse_duration_in(1s, "10"), 10s);
  EXPECT_EQ(parse_duration_in(1ms, "0.5"), 500us);
  EXPECT_EQ(parse_duration_in(1s, "250ms"), 250ms);
  EXPECT_EQ(parse_duration_in(1s, "0"), 0ns);
  EXPECT_THROW(parse_duration("10"), std::invalid_argument);
}

TEST(quantity, what_is_no_time_is_refused) {
  for (const char* text : {"", "s", "soon", "-1", "-1s", "1 s", "1sec", "1e3s", "inf", "nan", "nans", "9999999999h"}) {
    EXPECT_THROW(parse_duration(text), std::invalid_argument) << text;
    EXPECT_THROW(parse_duration_in(1s, text), std::invalid_argument) << text;
  }
}

}  // namespace
