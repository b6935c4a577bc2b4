#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <string>

#include "pool/predecessor.hpp"
#include "support/asking_client.hpp"
#include "support/pool_process.hpp"

using namespace udppump;
using testing::HasSubstr;

namespace {

/// Wants the sockets, as a new parent does, and goes away without taking over: what it is given, or told.
std::string answer_at(const std::string& path) {
  try {
    auto before = detail::predecessor::at(path);
    return before ? "given " + std::to_string(before->take_sockets().size()) : "nobody is there";
  } catch (const std::system_error& refused) {
    return refused.what();
  }
}

class a_take_over_path : public testing::Test {
 protected:
  const std::string path = temporary_path("take-over-path");
};

TEST_F(a_take_over_path, is_for_its_owner_alone_whatever_the_umask) {
  const mode_t before = ::umask(0);
  auto pool = pool_process::serving_with({.workers = 1, .take_over = path}, echo);
  static_cast<void>(pool.address());
  ::umask(before);
  struct stat about {};
  ASSERT_EQ(::stat(path.c_str(), &about), 0);
  EXPECT_EQ(about.st_mode & 0777, 0600u);
  EXPECT_EQ(pool.stop(), 0);
  EXPECT_NE(::stat(path.c_str(), &about), 0);
}

TEST_F(a_take_over_path, gives_nothing_to_a_process_of_another_user) {
  if (::geteuid() != 0) GTEST_SKIP() << "requires root, to become another user";
  auto pool = pool_process::serving_with({.workers = 1, .take_over = path}, echo);
  const asking_client client{pool.address()};
  // Somebody opens the path to all, and its folder: what is behind it must still look who comes.
  ASSERT_EQ(::chmod(path.c_str(), 0666), 0);
  shared<pool_report> report;
  child_process stranger{[&] {
    if (::setresuid(65534, 65534, 65534) != 0) return 1;
    report->note("answer", answer_at(path));
    return 0;
  }};
  ASSERT_EQ(stranger.join(), 0);
  EXPECT_THAT(report->log(), HasSubstr("it belongs to another user"));
  EXPECT_TRUE(pool.says("take-over-refused: a process of another user"));
  EXPECT_EQ(client.ask("still there"), "still there");
  EXPECT_EQ(answer_at(path), "given 1") << "to one of the same user";
  EXPECT_EQ(pool.stop(), 0) << pool.log();
}

TEST_F(a_take_over_path, is_gone_once_the_pool_is_told_to_stop_so_that_the_next_one_keeps_its_own) {
  auto pool = pool_process::serving_with({.workers = 1, .take_over = path}, [](datagram& received) {
    std::this_thread::sleep_for(std::chrono::milliseconds{500});
    echo(received);
  });
  const asking_client client{pool.address()};
  client.send("held");
  ASSERT_TRUE(eventually([&] { return pool.status().workers.at(0).state == worker_state::handling; }));
  pool.signal(SIGTERM);
  ASSERT_TRUE(pool.says("stopping: SIGTERM"));
  auto next = pool_process::serving_with({.workers = 1, .take_over = path}, echo);
  static_cast<void>(next.address());
  EXPECT_EQ(pool.join(), 0) << pool.log();
  EXPECT_EQ(::access(path.c_str(), F_OK), 0) << "the path is the next one's by now";
  EXPECT_EQ(answer_at(path), "given 1");
  EXPECT_EQ(next.stop(), 0);
}

TEST_F(a_take_over_path, stays_the_first_pools_if_the_second_ones_workers_never_serve) {
  auto pool = pool_process::serving_with({.workers = 1, .take_over = path}, echo);
  const asking_client client{pool.address()};
  pool_process next{
      {.workers = 1, .restart = {.first_delay = std::chrono::milliseconds{1}, .crash_limit = 2}, .take_over = path},
      [](worker_pool& made) { return made.run([](worker&) { ::_exit(3); }); }};
  EXPECT_NE(next.join(), 0);
  EXPECT_TRUE(next.has_said("crash-loop: ")) << next.log();
  EXPECT_TRUE(pool.says("going on as before")) << pool.log();
  EXPECT_EQ(answer_at(path), "given 1");
  EXPECT_EQ(client.ask("still there"), "still there");
  EXPECT_EQ(pool.stop(), 0) << pool.log();
}

}  // namespace
