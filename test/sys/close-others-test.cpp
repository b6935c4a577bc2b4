#include "sys/close_others.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>

#include <cstddef>
#include <string>
#include <vector>

#include "support/process.hpp"

using udppump::detail::close_others;

namespace {

bool is_open(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }

/// As a kernel before 5.9, or a seccomp profile that does not know the call.
bool take_close_range_away() {
  sock_filter program[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
                           BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_close_range, 0, 1),
                           BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
                           BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  const sock_fprog filter{.len = 4, .filter = program};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

class closing_others : public testing::TestWithParam<bool> {};

TEST_P(closing_others, leaves_those_named_and_the_first_three) {
  child_process alone{[] {
    if (!GetParam()) {
      ASSERT_TRUE(take_close_range_away());
    }
    // Not closed on exec, as whoever started this process may have left them; 700 is far above all others.
    std::vector<int> made;
    for (int at = 0; at < 6; ++at) made.push_back(::open("/dev/null", O_RDONLY));
    ASSERT_EQ(::dup2(made[0], 700), 700);
    const bool first_three[] = {is_open(0), is_open(1), is_open(2)};
    close_others({made[4], 1, made[2], 700, made[2]});
    for (int fd = 0; fd < 3; ++fd) EXPECT_EQ(is_open(fd), first_three[fd]) << fd;
    for (int fd = 3; fd < 800; ++fd) EXPECT_EQ(is_open(fd), fd == made[2] || fd == made[4] || fd == 700) << fd;
    close_others({});
    for (int fd = 3; fd < 800; ++fd) EXPECT_FALSE(is_open(fd)) << fd;
  }};
  EXPECT_EQ(alone.join(), 0);
}

INSTANTIATE_TEST_SUITE_P(, closing_others, testing::Bool(),
                         [](const auto& tested) { return tested.param ? "at_once" : "one_by_one"; });

}  // namespace
