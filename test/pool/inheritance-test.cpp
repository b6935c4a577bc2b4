#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <system_error>

#include "pool/inheritance.hpp"
#include "support/asking_client.hpp"
#include "support/pool_process.hpp"
#include "support/process.hpp"
#include "sys/sys_file.hpp"
#include "sys/sys_process.hpp"
#include "udppump/descriptor.hpp"

using namespace udppump;
using detail::descriptor;
using detail::inheritance;
using testing::HasSubstr;

namespace {

std::string refusal_of(const std::string& text) {
  try {
    static_cast<void>(inheritance::of_text(text));
  } catch (const std::system_error& refused) {
    return refused.what();
  }
  return "accepted";
}

bool is_closed_on_exec(int fd) { return (::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0; }

TEST(inheritance, what_a_parent_writes_a_worker_reads) {
  inheritance left{.parent = 4711, .page = 7, .memory = 3, .parent_signal = 4, .page_signal = 5};
  EXPECT_EQ(inheritance::of_text(left.to_text()), left);
  left.sockets = {{6, "udppump"}, {12, "dns"}, {7, "x=y;z"}};
  EXPECT_EQ(inheritance::of_text(left.to_text()), left);
}

TEST(inheritance, of_another_version_or_cut_short_it_is_refused_with_a_cure) {
  for (const char* bad : {"", "1", "1 2 3 4 5", "2 1 2 3 4 5", "x 1 2 3 4 5", "1 1 2 3 4 five"}) {
    EXPECT_THAT(refusal_of(bad), HasSubstr("another version of udppump; restart the pool")) << bad;
  }
  EXPECT_EQ(refusal_of("1 1 2 3 4 5"), "accepted");
}

TEST(inheritance, is_taken_once_and_its_descriptors_are_closed_on_exec_again) {
  const descriptor memory{sys::memory_file("test")};
  const descriptor parent{sys::eventfd(0)};
  const descriptor page{sys::eventfd(0)};
  const descriptor socket{sys::socket(AF_INET, SOCK_DGRAM, 0)};
  const inheritance left{.parent = ::getpid(),
                         .page = 1,
                         .memory = memory.fd(),
                         .parent_signal = parent.fd(),
                         .page_signal = page.fd(),
                         .sockets = {{socket.fd(), "udppump"}}};
  EXPECT_TRUE(left.set_close_on_exec(false));
  for (const int fd : {memory.fd(), parent.fd(), page.fd(), socket.fd()}) EXPECT_FALSE(is_closed_on_exec(fd));
  ::setenv(inheritance::variable, left.to_text().c_str(), 1);
  EXPECT_EQ(inheritance::take(), left);
  for (const int fd : {memory.fd(), parent.fd(), page.fd(), socket.fd()}) EXPECT_TRUE(is_closed_on_exec(fd));
  EXPECT_EQ(std::getenv(inheritance::variable), nullptr);
  EXPECT_FALSE(inheritance::take().has_value());
}

TEST(inheritance, of_a_pool_whose_workers_are_left_nothing_it_is_ignored_and_told) {
  ::setenv(inheritance::variable, "1 1 0 3 4 5 6 udppump", 1);
  auto pool = pool_process::serving_with({.workers = 1}, echo);
  EXPECT_EQ(asking_client{pool.address()}.ask("x"), "x");
  EXPECT_TRUE(pool.has_said("environment-ignored: UDPPUMP_INHERIT in the environment is ignored")) << pool.log();
  EXPECT_EQ(pool.stop(), 0) << pool.log();
  ::unsetenv(inheritance::variable);
}

TEST(inheritance, of_descriptors_that_are_not_open_is_refused) {
  const inheritance left{.parent = 1, .page = 0, .memory = 1000, .parent_signal = 1001, .page_signal = 1002};
  ::setenv(inheritance::variable, left.to_text().c_str(), 1);
  EXPECT_THROW(static_cast<void>(inheritance::take()), std::system_error);
  EXPECT_EQ(std::getenv(inheritance::variable), nullptr);
}

}  // namespace
