#pragma once

#include <gtest/gtest.h>

#include <string>
#include <system_error>
#include <udppump/pump_group.hpp>

/// Base of tests that run under every waiter; one that this machine does not have skips with the reason.
class every_waiter : public testing::TestWithParam<udppump::waiter_kind> {
 protected:
  void SetUp() override {
    try {
      const udppump::pump_group probe{{.waiter = GetParam()}};
    } catch (const std::system_error& refused) {
      GTEST_SKIP() << refused.what();
    }
  }
};

/// What serves an event loop if `asked` is asked for.
inline udppump::waiter_kind in_loop(udppump::waiter_kind asked) {
  return asked == udppump::waiter_kind::epoll ? udppump::waiter_kind::thread : asked;
}

inline std::string waiter_name(const testing::TestParamInfo<udppump::waiter_kind>& info) {
  return std::string{udppump::to_string(info.param)};
}

/// Runs the TEST_P of `suite`, a class derived from every_waiter, under each.
#define UDPPUMP_UNDER_EVERY_WAITER(suite)                                                             \
  INSTANTIATE_TEST_SUITE_P(under, suite,                                                              \
                           testing::Values(udppump::waiter_kind::epoll, udppump::waiter_kind::uring,  \
                                           udppump::waiter_kind::thread, udppump::waiter_kind::poll), \
                           waiter_name)
