#include "load/plan/quantity.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using namespace std::chrono_literals;
using namespace udppump::load;

TEST(quantity, a_time_has_a_unit) {
  EXPECT_EQ(parse_duration("800ns"), 800ns);
  EXPECT_EQ(parse_duration("250us"), 250us);
  EXPECT_EQ(parse_duration("1.5ms"), 1500us);
  EXPECT_EQ(parse_duration("10s"), 10s);
  EXPECT_EQ(parse_duration("2m"), 2min);
  EXPECT_EQ(parse_duration("2min"), 2min);
  EXPECT_EQ(parse_duration("0.5h"), 30min);
  EXPECT_EQ(parse_duration("168h"), 168h);
  EXPECT_EQ(parse_duration("0"), 0ns);
}

TEST(quantity, a_time_without_a_unit_is_one_where_a_unit_is_agreed_on) {
  EXPECT_EQ(parse_duration_in(1s, "10"), 10s);
  EXPECT_EQ(parse_duration_in(1ms, "0.5"), 500us);
  EXPECT_EQ(parse_duration_in(1s, "250ms"), 250ms);
  EXPECT_EQ(parse_duration_in(1s, "0"), 0ns);
  EXPECT_THROW(parse_duration("10"), std::invalid_argument);
}

/// What nobody may mean for a number, whatever its unit.
const std::vector<std::string> no_numbers{"",
                                          " ",
                                          "-",
                                          "+1",
                                          "-1",
                                          "-0",
                                          "1e3",
                                          "1E3",
                                          "0x10",
                                          "1_000",
                                          "1'000",
                                          "1,000",
                                          "inf",
                                          "nan",
                                          "NaN",
                                          "1 ",
                                          " 1",
                                          "1\n",
                                          "1\r",
                                          "1%%",
                                          "one",
                                          "१",
                                          "½",
                                          "\xff",
                                          "1\xff",
                                          "--1",
                                          "1-2",
                                          "0x",
                                          std::string{"1\0", 2},
                                          "1;"};

TEST(quantity, what_is_no_time_is_refused) {
  for (const char* text :
       {"s", "soon", "-1s", "-0s", "1 s", "1sec", "1e3s", "nans", "169h", "9999999999h", "1S", "1us ", "infs"}) {
    EXPECT_THROW(parse_duration(text), std::invalid_argument) << text;
    EXPECT_THROW(parse_duration_in(1s, text), std::invalid_argument) << text;
  }
  for (const auto& text : no_numbers) EXPECT_THROW(parse_duration_in(1s, text), std::invalid_argument) << text;
}

TEST(quantity, a_rate_is_requests_a_second) {
  EXPECT_EQ(parse_rate("500"), 500);
  EXPECT_EQ(parse_rate("12.5"), 12.5);
  EXPECT_EQ(parse_rate("10k"), 10'000);
  EXPECT_EQ(parse_rate("1.2M"), 1'200'000);
  EXPECT_EQ(parse_rate("1000M"), 1e9);
  for (const char* text : {"0", "0k", "1001M", "99999999999999999999", "1K", "1G", "k", "10%"}) {
    EXPECT_THROW(parse_rate(text), std::invalid_argument) << text;
  }
  for (const auto& text : no_numbers) EXPECT_THROW(parse_rate(text), std::invalid_argument) << text;
}

TEST(quantity, a_share_is_of_one_or_in_percent) {
  EXPECT_EQ(parse_share("0.7"), 0.7);
  EXPECT_DOUBLE_EQ(parse_share("70%"), 0.7);
  EXPECT_EQ(parse_share("1"), 1);
  EXPECT_EQ(parse_share("100%"), 1);
  EXPECT_GT(parse_share("0.0001%"), 0);
  for (const char* text : {"0", "0%", "1.001", "100.1%", "500%", "70", "10000000", "70 %", "%", "70k", "none"}) {
    EXPECT_THROW(parse_share(text), std::invalid_argument) << text;
  }
  for (const auto& text : no_numbers) EXPECT_THROW(parse_share(text), std::invalid_argument) << text;
}

TEST(quantity, a_tolerance_is_a_share_or_none) {
  EXPECT_EQ(parse_tolerance("none"), std::numeric_limits<double>::infinity());
  EXPECT_DOUBLE_EQ(parse_tolerance("10%"), 0.1);
  for (const char* text : {"0", "500%", "None", "none ", "", "off"}) {
    EXPECT_THROW(parse_tolerance(text), std::invalid_argument) << text;
  }
}

TEST(quantity, a_buffer_holds_something_and_no_more_than_the_kernel_gives) {
  EXPECT_EQ(parse_buffer_size("1"), 1u);
  EXPECT_EQ(parse_buffer_size("1073741823"), 1'073'741'823u);
  for (const char* text : {"0", "0K", "1G", "1073741824", "1T", "-1", ""}) {
    EXPECT_THROW(parse_buffer_size(text), std::invalid_argument) << text;
  }
}

TEST(quantity, a_size_is_in_bytes_or_powers_of_1024) {
  EXPECT_EQ(parse_size("0"), 0u);
  EXPECT_EQ(parse_size("65536"), 65536u);
  EXPECT_EQ(parse_size("256K"), 262'144u);
  EXPECT_EQ(parse_size("256k"), 262'144u);
  EXPECT_EQ(parse_size("4MiB"), 4'194'304u);
  EXPECT_EQ(parse_size("4MB"), 4'194'304u);
  EXPECT_EQ(parse_size("1T"), std::uint64_t{1} << 40);
  EXPECT_EQ(parse_size("18446744073709551615"), std::numeric_limits<std::uint64_t>::max());
  for (const char* text : {"1.5M", "18446744073709551616", "16777216T", "4Q", "4KK", "4B", "4iB", "K", "4 K", "4m"}) {
    EXPECT_THROW(parse_size(text), std::invalid_argument) << text;
  }
  for (const auto& text : no_numbers) EXPECT_THROW(parse_size(text), std::invalid_argument) << text;
}

TEST(quantity, a_count_is_a_whole_number_within_bounds) {
  constexpr auto most = std::numeric_limits<std::uint64_t>::max();
  EXPECT_EQ(parse_count("1", 1, 8), 1u);
  EXPECT_EQ(parse_count("8", 1, 8), 8u);
  EXPECT_EQ(parse_count("007", 1, 8), 7u);
  EXPECT_EQ(parse_count("18446744073709551615", 0, most), most);
  for (const char* text : {"0", "9", "1.0", "1.5", "18446744073709551616", "99999999999999999999"}) {
    EXPECT_THROW(parse_count(text, 1, 8), std::invalid_argument) << text;
  }
  EXPECT_THROW(parse_count("18446744073709551616", 0, most), std::invalid_argument);
  for (const auto& text : no_numbers) EXPECT_THROW(parse_count(text, 0, most), std::invalid_argument) << text;
  EXPECT_EQ(parse_integer("-20", -20, 19), -20);
  EXPECT_EQ(parse_integer("19", -20, 19), 19);
  for (const char* text : {"-21", "20", "--1", "1-", "+1", "", "- 1"}) {
    EXPECT_THROW(parse_integer(text, -20, 19), std::invalid_argument) << text;
  }
}

TEST(quantity, what_is_refused_is_quoted_with_what_was_expected) {
  const auto refusal = [](const auto& parse) -> std::string {
    try {
      parse();
    } catch (const std::invalid_argument& why) {
      return why.what();
    }
    return "";
  };
  EXPECT_EQ(refusal([] { parse_count("9", 1, 8); }), "\"9\" is no whole number from 1 to 8");
  EXPECT_EQ(refusal([] { parse_count("1\n\xff", 1, 8); }), "\"1\\x0a\\xff\" is no whole number from 1 to 8");
  EXPECT_EQ(refusal([] { parse_size("1.5M"); }), "\"1.5M\" is no size: bytes, such as 65536, 256K or 4M");
  EXPECT_EQ(refusal([] { parse_rate("2000M"); }), "\"2000M\" is too much; give 1000M a second at most");
  EXPECT_EQ(refusal([] { parse_duration("1000000h"); }), "\"1000000h\" is too long; give a week at most");
}

}  // namespace
