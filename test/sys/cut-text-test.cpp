// What people read is cut between characters.
#include "sys/cut_text.hpp"

#include <gtest/gtest.h>

#include <string>

#include "sys/printable.hpp"

namespace {

using namespace udppump::detail;
using udppump::printable;

TEST(cut_text, is_utf8_still_wherever_it_is_cut) {
  const std::string text = "a\u00e9\u2603\U0001f600z";  // of 1, 2, 3, 4 and 1 bytes
  for (std::size_t most = 0; most <= text.size() + 1; ++most) {
    const std::string cut_off{cut(text, most)};
    EXPECT_EQ(cut_off, printable(cut_off)) << most;
    EXPECT_TRUE(text.starts_with(cut_off)) << most;
    EXPECT_LE(cut_off.size(), most);
    EXPECT_GE(cut_off.size() + 3, std::min(most, text.size())) << "no more is missing than one character";
    if (most < 3) continue;
    const std::string marked = shortened(text, most);
    EXPECT_EQ(marked, printable(marked)) << most;
    EXPECT_LE(marked.size(), most);
    EXPECT_EQ(marked.ends_with("..."), most < text.size()) << marked;
  }
}

TEST(cut_text, that_is_no_utf8_is_cut_anywhere) {
  EXPECT_EQ(cut(std::string(9, '\x80'), 7).size(), 7u) << "nothing that continues";
  EXPECT_EQ(cut("ab\xff"
                "d",
                3),
            "ab\xff");
  EXPECT_EQ(cut("ab\xc0"
                "d",
                3),
            "ab\xc0")
      << "which begins no character";
  EXPECT_EQ(cut("\xe2\x98", 2), "\xe2\x98") << "it fits";
  EXPECT_EQ(whole_size("ab\xe2\x98"), 2u);
  EXPECT_EQ(whole_size("ab\xf0\x9f\x98"), 2u);
  EXPECT_EQ(whole_size(""), 0u);
}

TEST(cut_text, counts_characters) {
  EXPECT_EQ(characters_in("a\u00e9\u2603\U0001f600z"), 5u);
  EXPECT_EQ(first_characters("\u00e9\u2603z", 2), "\u00e9\u2603");
  EXPECT_EQ(first_characters("\u00e9\u2603z", 3), "\u00e9\u2603z");
  EXPECT_EQ(first_characters("\u00e9", 0), "");
}

}  // namespace
