// Workers whose handler does not return.

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <string>
#include <thread>

#include "support/asking_client.hpp"
#include "support/pool_process.hpp"

using namespace udppump;
using namespace std::chrono_literals;

namespace {

/// Echoes, and hangs at "hang".
void may_hang(datagram& received) {
  if (received.text() == "hang") std::this_thread::sleep_for(10min);
  echo(received);
}

const resource_limit no_core_file{RLIMIT_CORE, 0, 0};

TEST(hung_workers, one_whose_handler_does_not_return_is_aborted_and_replaced) {
  auto pool = pool_process::serving_with({.workers = 2, .handler_timeout = 200ms, .limits = {no_core_file}}, may_hang);
  const asking_client client{pool.address()};
  const auto before = pool.workers();
  client.send("hang");
  EXPECT_TRUE(pool.says("worker-hung: worker ")) << pool.log();
  EXPECT_TRUE(pool.says("has been in its handler for ")) << pool.log();
  EXPECT_TRUE(pool.says("was killed by signal 6 ")) << pool.log();
  EXPECT_TRUE(eventually([&] { return pool.workers().size() == 2 && pool.workers() != before; })) << pool.log();
  EXPECT_EQ(client.ask("hello"), "hello");
  EXPECT_EQ(pool.count("worker-hung: "), 1u) << pool.log();
  EXPECT_EQ(pool.status().restarts, 1u);
  EXPECT_EQ(pool.stop(), 0);
}

TEST(hung_workers, all_of_them_hang_and_what_waits_is_served_by_those_that_come) {
  auto pool = pool_process::serving_with({.workers = 2, .handler_timeout = 300ms, .limits = {no_core_file}}, may_hang);
  const asking_client client{pool.address()};
  client.send("hang");
  client.send("hang");
  ASSERT_TRUE(eventually([&] {
    const auto all = pool.status().workers;
    return std::all_of(all.begin(), all.end(), [](const auto& one) { return one.state == worker_state::handling; });
  }));
  EXPECT_EQ(client.ask("hello"), "hello");
  EXPECT_EQ(pool.count("worker-hung: "), 2u) << pool.log();
  EXPECT_EQ(pool.stop(), 0);
}

TEST(hung_workers, what_one_held_is_given_to_another_until_it_is_poison) {
  auto pool = pool_process::serving_with(
      {.workers = 2, .redeliver = redelivery{.most = 1}, .handler_timeout = 100ms, .limits = {no_core_file}}, may_hang);
  const asking_client client{pool.address()};
  client.send("hang");
  EXPECT_TRUE(eventually([&] { return pool.count("worker-hung: ") == 2; })) << pool.log();
  EXPECT_TRUE(pool.says("poison")) << pool.log();
  EXPECT_EQ(client.ask("hello"), "hello");
  EXPECT_EQ(pool.stop(), 0);
}

TEST(hung_workers, a_handler_that_takes_less_time_is_left_alone_however_many_there_are) {
  auto pool = pool_process::serving_with({.workers = 1, .handler_timeout = 500ms}, [](datagram& received) {
    std::this_thread::sleep_for(60ms);
    echo(received);
  });
  const asking_client client{pool.address()};
  for (int asked = 0; asked < 15; ++asked) client.send("x");
  EXPECT_EQ(client.ask("last"), "x");
  EXPECT_TRUE(eventually([&] {
    const pool_status status = pool.status();
    return status.workers.size() == 1 && status.workers[0].traffic->all.handled == 16;
  }));
  EXPECT_EQ(pool.count("worker-hung: "), 0u) << pool.log();
  EXPECT_EQ(pool.stop(), 0);
}

TEST(hung_workers, a_thread_is_told_of_once_and_goes_on) {
  shared<std::atomic<bool>> may_end;
  auto pool = pool_process::serving_with({.workers = 1, .model = worker_model::threads, .handler_timeout = 50ms},
                                         [&may_end](datagram& received) {
                                           if (received.text() == "hang") eventually([&] { return may_end->load(); });
                                           echo(received);
                                         });
  const asking_client client{pool.address()};
  client.send("hang");
  EXPECT_TRUE(pool.says("is a thread and goes on")) << pool.log();
  std::this_thread::sleep_for(200ms);
  EXPECT_EQ(pool.count("worker-hung: "), 1u) << pool.log();
  *may_end = true;
  EXPECT_EQ(client.ask("hello"), "hang");
  EXPECT_EQ(pool.stop(), 0) << pool.log();
}

TEST(hung_workers, the_watchdog_is_not_fed_while_datagrams_wait_and_nobody_takes_any) {
#if !defined(UDPPUMP_HAS_SYSTEMD)
  GTEST_SKIP() << "built without libsystemd";
#endif
  constexpr std::chrono::milliseconds allowed = 400ms;
  const std::string name = temporary_path("watchdog-of-hung");
  const auto manager = datagram_socket::bind(address::parse("unix:" + name));
  shared<std::atomic<bool>> may_end;
  ::setenv("NOTIFY_SOCKET", name.c_str(), 1);
  ::setenv("WATCHDOG_USEC", std::to_string(std::chrono::microseconds{allowed}.count()).c_str(), 1);
  auto pool = pool_process::serving_with({.workers = 1}, [&may_end](datagram& received) {
    if (received.text() == "hang") eventually([&] { return may_end->load(); });
    echo(received);
  });
  ::unsetenv("NOTIFY_SOCKET");
  ::unsetenv("WATCHDOG_USEC");
  const asking_client client{pool.address()};
  client.send("hang");
  client.send("waits");
  EXPECT_TRUE(pool.says("service-hung: datagrams wait, and no worker has taken any for ")) << pool.log();
  std::array<std::byte, 512> buffer{};
  while (manager.receive(buffer)) {
  }
  bool was_fed = false;
  while (const auto came = manager.receive(buffer, 2 * allowed)) was_fed |= came.text() == "WATCHDOG=1";
  EXPECT_FALSE(was_fed);
  *may_end = true;
  while (const auto came = manager.receive(buffer, patience)) {
    if ((was_fed = came.text() == "WATCHDOG=1")) break;
  }
  EXPECT_TRUE(was_fed) << "it serves again";
  EXPECT_EQ(pool.count("service-hung: "), 1u) << pool.log();
  EXPECT_EQ(pool.stop(), 0);
  ::unlink(name.c_str());
}

}  // namespace
