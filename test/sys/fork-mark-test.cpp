#include "sys/fork_mark.hpp"

#include <gtest/gtest.h>

#include <cerrno>
#include <optional>

#include "support/fault.hpp"
#include "support/process.hpp"

using udppump::detail::fork_mark;

namespace {

/// What holds whether the kernel can wipe a page or not.
void expect_to_know_forks(fork_mark& mark) {
  EXPECT_FALSE(mark.in_child());
  child_process child{[&] {
    EXPECT_TRUE(mark.in_child());
    mark.renew();
    EXPECT_FALSE(mark.in_child());
    child_process grandchild{[&] { EXPECT_TRUE(mark.in_child()); }};
    return grandchild.join();
  }};
  EXPECT_EQ(child.join(), 0);
  EXPECT_FALSE(mark.in_child());
}

TEST(fork_mark, knows_a_fork_by_a_page_that_the_kernel_wipes) {
  fork_mark mark;
  expect_to_know_forks(mark);
}

TEST(fork_mark, knows_a_fork_by_the_process_id_where_no_page_is_wiped) {
  std::optional<fork_mark> mark;
  {
    const fault::injection before_4_14{{.call = "madvise", .error = EINVAL}};
    mark.emplace();
    EXPECT_EQ(before_4_14.hits(), 1);
  }
  expect_to_know_forks(*mark);
}

}  // namespace
