#include <gmock/gmock.h>
#include <signal.h>
#include <sys/ptrace.h>

#include <stdexcept>
#include <string>

#include "support/asking_client.hpp"
#include "support/pool_process.hpp"

using namespace udppump;
using testing::HasSubstr;

namespace {

/// Starts a process that leaves the worker's group and session, and hears nothing that it need not; returns its number.
pid_t escape() {
  const shared<std::atomic<pid_t>> escaped;
  const pid_t between = ::fork();
  if (between == 0) {
    ::setsid();
    const pid_t last = ::fork();
    if (last != 0) ::_exit(0);
    for (const int one : {SIGTERM, SIGHUP, SIGINT}) ::signal(one, SIG_IGN);
    *escaped = ::getpid();
    for (;;) ::pause();
  }
  ::waitpid(between, nullptr, 0);
  EXPECT_TRUE(eventually([&] { return *escaped != 0; }));
  return *escaped;
}

bool is_there(pid_t pid) { return ::kill(pid, 0) == 0; }

pool_process pool_with_escapes(bool end_orphans) {
  return pool_process::serving_with({.workers = 1, .end_orphans = end_orphans},
                                    [](datagram& received) { received.reply(std::to_string(escape())); });
}

TEST(orphans, what_escapes_from_a_fork_ends_with_the_pool_if_that_is_asked_for) {
  auto pool = pool_with_escapes(true);
  const asking_client client{pool.address()};
  const pid_t escaped = std::stoi(client.ask("escape"));
  ASSERT_TRUE(is_there(escaped)) << "it is told of too early";
  EXPECT_EQ(pool.stop(), 0);
  EXPECT_FALSE(is_there(escaped));
  EXPECT_TRUE(pool.has_said("orphans: 1 process that a worker left behind was killed")) << pool.log();
}

TEST(orphans, what_escapes_from_a_fork_ends_with_its_worker) {
  auto pool = pool_with_escapes(true);
  const asking_client client{pool.address()};
  const pid_t escaped = std::stoi(client.ask("escape"));
  ::kill(pool.workers().front(), SIGKILL);
  EXPECT_TRUE(eventually([&] { return !is_there(escaped); })) << pool.log();
  const pid_t another = std::stoi(client.ask("escape"));
  pool.signal(SIGHUP);
  EXPECT_TRUE(eventually([&] { return !is_there(another); })) << pool.log();
  EXPECT_EQ(pool.stop(), 0);
}

TEST(orphans, a_worker_that_has_its_parent_trace_it_and_stops_has_not_ended_and_is_killed) {
  auto pool = pool_process::serving_with({.workers = 1}, [](datagram& received) {
    received.reply(std::to_string(::getpid()));
    if (received.text() != "stop") return;
    ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
    ::raise(SIGSTOP);
  });
  const asking_client client{pool.address()};
  const pid_t stopped = std::stoi(client.ask("stop"));
  EXPECT_TRUE(eventually([&] { return !is_there(stopped); })) << pool.log();
  EXPECT_TRUE(pool.says("was killed by signal 9")) << pool.log();
  EXPECT_NE(std::stoi(client.ask("who")), stopped);
  EXPECT_EQ(pool.stop(), 0);
}

TEST(orphans, without_that_what_is_not_the_pools_is_left_alone) {
  auto pool = pool_with_escapes(false);
  const asking_client client{pool.address()};
  const pid_t escaped = std::stoi(client.ask("escape"));
  EXPECT_EQ(pool.stop(), 0);
  EXPECT_TRUE(is_there(escaped));
  ::kill(escaped, SIGKILL);
}

TEST(orphans, threads_are_no_processes_that_could_leave_any) {
  try {
    worker_pool refused{{.bind = {"127.0.0.1:0"}, .model = worker_model::threads, .end_orphans = true}};
    ADD_FAILURE() << "accepted";
  } catch (const std::invalid_argument& error) {
    EXPECT_THAT(error.what(), HasSubstr("end_orphans is for workers that are processes"));
  }
}

}  // namespace
