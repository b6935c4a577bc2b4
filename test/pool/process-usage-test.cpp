// What a process used is told apart from what its children did.

#include "pool/process_usage.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <string>

#include "support/asking_client.hpp"
#include "support/pool_process.hpp"

using namespace udppump;
using namespace std::chrono_literals;

namespace {

void use_the_processor(std::chrono::nanoseconds time) {
  timespec used{};
  do {
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  } while (std::chrono::seconds{used.tv_sec} + std::chrono::nanoseconds{used.tv_nsec} < time);
}

TEST(process_usage, own_time_and_that_of_ended_children_are_read_apart) {
  std::string folder = std::filesystem::temp_directory_path() / "udppump-XXXXXX";
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  std::ofstream{folder + "/stat"} << "7 (a) b) S 1 2 33 0 -1 4194560 1 2 3 4 100 20 3000 400 20 0 1 0 9876 1 2 3\n";
  const auto told = detail::stat_in(folder);
  std::filesystem::remove_all(folder);
  ASSERT_TRUE(told);
  EXPECT_EQ(told->state, 'S');
  EXPECT_EQ(told->session, 33);
  EXPECT_EQ(told->own_ticks, 120u);
  EXPECT_EQ(told->children_ticks, 3400u);
  EXPECT_EQ(told->started_at, 9876u);
}

TEST(process_usage, a_child_that_has_ended_counts_for_its_session_and_not_for_the_process) {
  const shared<std::atomic<bool>> has_waited;
  const pid_t parent = ::fork();
  if (parent == 0) {
    ::setsid();
    const pid_t child = ::fork();
    if (child == 0) {
      use_the_processor(400ms);
      ::_exit(0);
    }
    ::waitpid(child, nullptr, 0);
    *has_waited = true;
    for (;;) ::pause();
  }
  EXPECT_TRUE(eventually([&] { return has_waited->load(); }));
  const auto own = detail::usage_of(parent);
  const auto of_thread = detail::usage_of_thread(parent, parent);
  const auto by_session = detail::usage_by_session();
  const auto found = by_session.find(parent);
  ::kill(parent, SIGKILL);
  ::waitpid(parent, nullptr, 0);
  ASSERT_TRUE(own && of_thread && found != by_session.end());
  EXPECT_LT(own->cpu, 200ms);
  EXPECT_LT(of_thread->cpu, 200ms);
  EXPECT_GE(found->second.cpu, 300ms);
}

TEST(process_usage, what_a_dead_worker_used_is_not_the_parents) {
  auto pool = pool_process::serving_with({.workers = 1}, [](datagram&) {
    use_the_processor(600ms);
    ::_exit(3);
  });
  const asking_client client{pool.address()};
  client.send("die");
  EXPECT_TRUE(eventually([&] { return pool.status().restarts == 1; })) << pool.log();
  EXPECT_LT(pool.status().usage->cpu, 300ms);
  EXPECT_EQ(pool.stop(), 0) << pool.log();
}

}  // namespace
