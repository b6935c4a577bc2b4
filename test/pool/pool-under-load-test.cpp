#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <random>
#include <thread>

#include "support/asking_client.hpp"
#include "support/pool_process.hpp"
#include "support/serve.hpp"
#include "support/steady_load.hpp"
#include "support/waiters.hpp"

// Pools whose workers are killed, reloaded and replaced while datagrams come. `./dev test all` runs these for longer.

using namespace udppump;
using namespace std::chrono_literals;

namespace {

/// Takes a while, as handlers do.
void echo_later(datagram& received) {
  std::this_thread::sleep_for(500us);
  received.reply(received.payload);
}

class loaded_pool_under : public every_waiter {
 protected:
  pool_options options(pool_options chosen = {}) const {
    chosen.waiter = GetParam();
    chosen.workers = 4;
    return chosen;
  }
};
UDPPUMP_UNDER_EVERY_WAITER(loaded_pool_under);

/// Kills one of a pool's workers every 200 ms; the pool must outlive it.
class worker_killer {
 public:
  worker_killer(const pool_process& pool, unsigned seed) : pool_{pool}, random_{seed} {}
  /// Who they are is looked up a while before, as nothing is sent meanwhile, and a worker that is to lose something
  /// must hold it.
  void kill_if_due() {
    const auto now = std::chrono::steady_clock::now();
    if (workers_.empty() && now >= next_ - 100ms) workers_ = pool_.workers();
    if (now < next_) return;
    next_ += 200ms;
    if (!workers_.empty() && ::kill(workers_[random_() % workers_.size()], SIGKILL) == 0) ++kills_;
    workers_.clear();
  }
  std::uint64_t kills() const noexcept { return kills_; }

 private:
  const pool_process& pool_;
  std::mt19937 random_;
  std::vector<pid_t> workers_;
  std::chrono::steady_clock::time_point next_ = std::chrono::steady_clock::now() + 200ms;
  std::uint64_t kills_ = 0;
};

TEST_P(loaded_pool_under, killed_workers_lose_what_they_held_and_nothing_else) {
  auto pool = pool_process::serving_with(options(), echo_later);
  steady_load load{pool.address(), 300us};
  worker_killer killer{pool, 20};
  load.run(load_time(), [&] { killer.kill_if_due(); });
  const std::uint64_t kills = killer.kills();
  load.settle(kills);
  std::printf("%llu sent, %llu kills, %llu lost, %llu answered twice\n", static_cast<unsigned long long>(load.sent()),
              static_cast<unsigned long long>(kills), static_cast<unsigned long long>(load.unanswered()),
              static_cast<unsigned long long>(load.repeated()));
  EXPECT_EQ(load.refused(), 0u);
  EXPECT_GT(kills, 0u);
  EXPECT_LE(load.unanswered(), kills);
  EXPECT_EQ(load.repeated(), 0u);
  EXPECT_EQ(pool.stop(), 0) << pool.log();
}

TEST_P(loaded_pool_under, killed_workers_lose_nothing_at_all_with_redeliver) {
  auto pool = pool_process::serving_with(options({.redeliver = redelivery{.most = 50}}), echo_later);
  steady_load load{pool.address(), 300us};
  worker_killer killer{pool, 30};
  load.run(load_time(), [&] { killer.kill_if_due(); });
  const std::uint64_t kills = killer.kills();
  load.settle();
  const pool_status status = pool.status();
  std::printf("%llu sent, %llu kills, %llu handed to another worker, %llu lost, %llu answered twice\n",
              static_cast<unsigned long long>(load.sent()), static_cast<unsigned long long>(kills),
              static_cast<unsigned long long>(status.redelivery->redelivered),
              static_cast<unsigned long long>(load.unanswered()), static_cast<unsigned long long>(load.repeated()));
  EXPECT_EQ(load.unanswered(), 0u) << pool.log();
  EXPECT_GT(status.redelivery->redelivered, 0u);
  EXPECT_LE(load.repeated(), status.redelivery->redelivered);
  EXPECT_EQ(status.redelivery->poisoned + status.redelivery->abandoned, 0u);
  EXPECT_EQ(pool.stop(), 0) << pool.log();
}

class loaded_pool_of : public testing::TestWithParam<worker_model> {};
INSTANTIATE_TEST_SUITE_P(both, loaded_pool_of, testing::Values(worker_model::processes, worker_model::threads),
                         [](const auto& chosen) {
                           return chosen.param == worker_model::threads ? "threads" : "processes";
                         });

TEST_P(loaded_pool_of, reloads_and_take_overs_under_load_lose_nothing_and_answer_nothing_twice) {
  constexpr std::size_t reloads = 50;
  constexpr int take_overs = 10;
  const std::string path = temporary_path("take-over");
  const pool_options options{.workers = 4, .model = GetParam(), .take_over = path};

  auto pool = std::make_unique<pool_process>(pool_process::serving_with(options, echo_later));
  const address server = pool->address();
  auto with_port = options;
  with_port.bind = {server.to_string()};
  steady_load load{server, 250us};
  std::size_t done = 0;
  for (int generation = 0; generation < take_overs; ++generation) {
    for (std::size_t reload = 0; reload < reloads / take_overs; ++reload, ++done) {
      const std::size_t before = pool->count("reloaded: ");
      pool->signal(SIGHUP);
      load.run_until([&] { return pool->count("reloaded: ") > before; }, patience);
      ASSERT_GT(pool->count("reloaded: "), before) << pool->log();
      load.run(20ms, [] {});
    }
    auto next = std::make_unique<pool_process>(pool_process::serving_with(with_port, echo_later));
    load.run_until([&] { return pool->has_said("stopped: ended; another"); }, patience);
    ASSERT_EQ(pool->join(), 0) << pool->log() << next->log();
    pool = std::move(next);
  }
  load.settle();
  EXPECT_EQ(done, reloads);
  EXPECT_EQ(load.refused(), 0u);
  EXPECT_EQ(load.unanswered(), 0u);
  EXPECT_EQ(load.repeated(), 0u);
  EXPECT_EQ(pool->stop(), 0) << pool->log();
  EXPECT_NE(::access(path.c_str(), F_OK), 0) << "the socket's path is left behind";

  std::printf("%zu reloads and %d take-overs, %llu sent, %llu lost\n", done, take_overs,
              static_cast<unsigned long long>(load.sent()), static_cast<unsigned long long>(load.unanswered()));
}

/// What people do without udppump: a socket for each worker, SO_REUSEPORT, and a new one before the old one goes.
class reuse_port_group {
 public:
  explicit reuse_port_group(std::size_t workers) : anchor_{start({})} {
    workers_.push_back(std::move(anchor_));
    for (std::size_t more = 1; more < workers; ++more) workers_.push_back(start(server()));
  }
  address server() const { return address::parse("127.0.0.1:0").with_port(static_cast<std::uint16_t>(port_->load())); }
  void replace(std::size_t at) {
    auto fresh = start(server());
    ::kill(workers_[at].pid(), SIGTERM);
    workers_[at].join();
    std::swap(workers_[at], fresh);
  }
  std::size_t size() const { return workers_.size(); }

 private:
  struct one {
    std::unique_ptr<child_process> process;
    pid_t pid() const { return process->pid(); }
    void join() const { process->join(); }
  };
  one start(const address& where) {
    const int ready = ready_->load();
    one made{std::make_unique<child_process>([this, where] {
      static std::atomic<bool> over{false};
      struct sigaction action {};
      action.sa_handler = [](int) { over = true; };
      ::sigaction(SIGTERM, &action, nullptr);
      auto socket = datagram_socket::bind(where.is_none() ? address::parse("127.0.0.1:0") : where,
                                          {.receive_buffer = 4 << 20, .reuse_port = true});
      port_->store(socket.local().port());
      ++*ready_;
      while (!over) {
        std::byte bytes[64];
        const auto came = socket.receive(bytes, 10ms);
        if (!came) continue;
        std::this_thread::sleep_for(500us);
        static_cast<void>(socket.send_to(came.payload, came.from));
      }
    })};
    EXPECT_TRUE(eventually([&] { return ready_->load() > ready; }));
    return made;
  }

  shared<std::atomic<int>> ready_;
  shared<std::atomic<unsigned>> port_;
  one anchor_;
  std::vector<one> workers_;
};

// What the case above is worth: the same load notices what is lost without a pool.
TEST(reuse_port_group, loses_what_waits_in_a_socket_that_is_replaced) {
  constexpr int replacements = 60;
  reuse_port_group group{4};
  std::uint64_t lost = 0;
  std::uint64_t asked = 0;
  std::vector<std::unique_ptr<steady_load>> clients;  // several, since the hash spreads clients and not datagrams
  for (int client = 0; client < 8; ++client) clients.push_back(std::make_unique<steady_load>(group.server(), 2ms));
  const auto all_send = [&clients](std::chrono::milliseconds time) {
    clients[0]->run(time, [&] {
      for (std::size_t other = 1; other < clients.size(); ++other) clients[other]->go_on();
    });
  };
  for (auto& client : clients) client->begin();
  for (int replacement = 0; replacement < replacements; ++replacement) {
    all_send(20ms);
    for (std::size_t at = 0; at < group.size(); ++at) {
      all_send(2ms);
      group.replace(at);
    }
  }
  // The first client waits out the time in which something may still come, for all of them.
  clients[0]->settle();
  for (auto& client : clients) {
    client->settle(0, 100ms);
    lost += client->unanswered();
    asked += client->sent();
  }
  std::printf("SO_REUSEPORT: %llu sent, %llu lost\n", static_cast<unsigned long long>(asked),
              static_cast<unsigned long long>(lost));
  EXPECT_GT(lost, 0u);
}

}  // namespace
