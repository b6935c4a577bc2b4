#include "sys/shared_line.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <vector>

#include "support/process.hpp"

using namespace udppump;
using detail::make_shared_line;

namespace {

std::atomic<int>& number_in(const std::shared_ptr<void>& line) { return *static_cast<std::atomic<int>*>(line.get()); }

TEST(shared_line, is_heard_of_in_a_forked_process) {
  const auto line = make_shared_line();
  ASSERT_NE(line, nullptr);
  EXPECT_EQ(number_in(line), 0);
  child_process child{[&] { number_in(line) = 5; }};
  EXPECT_EQ(child.join(), 0);
  EXPECT_EQ(number_in(line), 5);
}

TEST(shared_line, is_not_shared_with_another_socket) {
  std::vector<std::shared_ptr<void>> lines;
  for (int made = 0; made < 200; ++made) lines.push_back(make_shared_line());
  for (const auto& line : lines) {
    ASSERT_EQ(number_in(line), 0);
    number_in(line) = 1;
  }
}

TEST(shared_line, of_a_child_is_its_own) {
  const auto before = make_shared_line();
  child_process child{[] { number_in(make_shared_line()) = 1; }};
  EXPECT_EQ(child.join(), 0);
  EXPECT_EQ(number_in(make_shared_line()), 0);
}

}  // namespace
