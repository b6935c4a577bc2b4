// Workers that have reached a limit are replaced, one after the other.

#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstring>
#include <set>
#include <string>
#include <vector>

#include "support/asking_client.hpp"
#include "support/pool_process.hpp"

using namespace udppump;
using namespace std::chrono_literals;

namespace {

TEST(renewal, one_that_has_lived_long_enough_is_replaced_and_never_two_at_once) {
  auto pool = pool_process::serving_with({.workers = 3, .max_lifetime = 300ms}, echo);
  const asking_client client{pool.address()};
  std::set<pid_t> seen;
  std::size_t fewest = 100;
  std::size_t most = 0;
  EXPECT_TRUE(eventually([&] {
    const auto now = pool.workers();
    // A snapshot is not of one instant.
    fewest = std::min(fewest, std::max({now.size(), pool.workers().size(), pool.workers().size()}));
    most = std::max(most, std::min({now.size(), pool.workers().size(), pool.workers().size()}));
    seen.insert(now.begin(), now.end());
    return seen.size() >= 9 && client.ask("x") == "x";
  })) << pool.log();
  EXPECT_EQ(fewest, 3u);
  EXPECT_LE(most, 4u);
  EXPECT_TRUE(pool.has_said("has lived for ")) << pool.log();
  EXPECT_EQ(pool.status().reloads, 0u);
  EXPECT_EQ(pool.status().restarts, 0u);
  EXPECT_EQ(pool.stop(), 0) << pool.log();
}

TEST(renewal, one_that_has_served_enough_is_replaced) {
  auto pool = pool_process::serving_with({.workers = 1, .max_requests = 20}, echo);
  const asking_client client{pool.address()};
  const auto before = pool.workers();
  for (int asked = 0; asked < 10; ++asked) EXPECT_EQ(client.ask("x"), "x");
  EXPECT_FALSE(pool.has_said("worker-renewed: "));
  for (int asked = 0; asked < 10; ++asked) EXPECT_EQ(client.ask("x"), "x");
  EXPECT_TRUE(pool.says("worker-renewed: worker 0")) << pool.log();
  EXPECT_TRUE(pool.has_said("has served ")) << pool.log();
  EXPECT_TRUE(eventually([&] { return pool.workers().size() == 1 && pool.workers() != before; })) << pool.log();
  EXPECT_EQ(pool.stop(), 0) << pool.log();
}

TEST(renewal, one_that_has_grown_is_replaced) {
  constexpr std::size_t mebibyte = 1 << 20;
  auto pool = pool_process::serving_with({.workers = 1, .max_memory = 200 * mebibyte}, [](datagram& received) {
    static std::vector<char> kept;
    if (received.text() == "grow") {
      kept.resize(300 * mebibyte);
      std::memset(kept.data(), 1, kept.size());
    }
    echo(received);
  });
  const asking_client client{pool.address()};
  const auto before = pool.workers();
  EXPECT_EQ(client.ask("grow"), "grow");
  EXPECT_TRUE(pool.says(" MiB of memory, and is replaced")) << pool.log();
  EXPECT_TRUE(eventually([&] { return pool.workers().size() == 1 && pool.workers() != before; })) << pool.log();
  EXPECT_EQ(pool.count("worker-renewed: "), 1u) << pool.log();
  EXPECT_EQ(pool.stop(), 0) << pool.log();
}

TEST(renewal, what_a_worker_has_started_counts_as_its_own) {
  constexpr std::size_t mebibyte = 1 << 20;
  auto pool = pool_process::serving_with({.workers = 1, .max_memory = 200 * mebibyte}, [](datagram& received) {
    if (received.text() == "start" && ::fork() == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      std::vector<char> kept(300 * mebibyte);
      std::memset(kept.data(), 1, kept.size());
      for (;;) ::pause();
    }
    echo(received);
  });
  const asking_client client{pool.address()};
  EXPECT_EQ(client.ask("start"), "start");
  EXPECT_TRUE(pool.says(" MiB of memory in 2 processes, and is replaced")) << pool.log();
  EXPECT_EQ(pool.stop(), 0) << pool.log();
}

TEST(renewal, a_reload_that_is_asked_for_meanwhile_follows_and_a_failed_renewal_changes_nothing) {
  shared<std::atomic<bool>> broken;
  auto pool = pool_process{{.workers = 1, .max_lifetime = 200ms}, [&broken](worker_pool& made) {
                             return made.run([&broken](worker& self) {
                               if (broken->load()) throw std::runtime_error{"broken"};
                               static_cast<void>(self.serve(echo));
                             });
                           }};
  const asking_client client{pool.address()};
  *broken = true;
  EXPECT_TRUE(pool.says("reload-failed: the replacement was given up at worker 0")) << pool.log();
  EXPECT_EQ(client.ask("still"), "still");
  *broken = false;
  pool.signal(SIGHUP);
  EXPECT_TRUE(pool.says("reloaded: reloaded 1 worker")) << pool.log();
  EXPECT_EQ(pool.stop(), 0) << pool.log();
}

}  // namespace
