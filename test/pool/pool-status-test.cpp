// What a pool tells of itself, number by number, and what the kernel adds.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/filter.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "support/asking_client.hpp"
#include "support/pool_process.hpp"
#include "udppump/pool_status.hpp"

using namespace udppump;
using namespace std::chrono_literals;
using testing::ElementsAre;

namespace {

traffic_counts counts_of(const pool_process& pool) { return pool.status().traffic->all; }

bool has_handled(const pool_process& pool, std::uint64_t count) {
  return eventually([&] { return counts_of(pool).handled == count; });
}

TEST(pool_status, a_pool_says_what_it_is) {
  auto pool = pool_process::serving_with(
      {.name = "dns", .socket = {.receive_buffer = 65'536}, .workers = 2, .max_age = 250ms}, echo);
  const auto port = pool.address().port();
  const pool_status told = pool.status();
  EXPECT_EQ(told.parent, pool.pid());
  EXPECT_EQ(told.user, ::geteuid());
  EXPECT_EQ(told.name, "dns");
  EXPECT_FALSE(told.version.empty());
  EXPECT_EQ(told.kind, worker_kind::handlers);
  EXPECT_EQ(told.model, worker_model::processes);
  EXPECT_GT(told.uptime, 0ns);
  EXPECT_LT(told.uptime, 60s);
  EXPECT_EQ(told.workers_wanted, 2u);
  EXPECT_TRUE(told.lanes.empty());
  EXPECT_EQ(told.max_age, 250ms);
  EXPECT_FALSE(told.max_wait);
  EXPECT_FALSE(told.redelivery) << "it keeps no datagrams";
  EXPECT_EQ(told.restarts + told.reloads + told.hangs, 0u);
  ASSERT_EQ(told.sockets.size(), 1u);
  const socket_status& socket = told.sockets[0];
  EXPECT_EQ(socket.address, "127.0.0.1:" + std::to_string(port));
  EXPECT_EQ(socket.lane, "");
  EXPECT_GT(socket.inode, 0u);
  EXPECT_EQ(socket.queued, 0u);
  EXPECT_EQ(socket.drops, 0u);
  EXPECT_EQ(socket.buffer_asked, 65'536u);
  EXPECT_EQ(socket.buffer_granted, 65'536u);
  EXPECT_EQ(socket.room, 2 * 65'536u);
  ASSERT_TRUE(told.usage);
  EXPECT_GT(told.usage->resident, 0u);
  ASSERT_EQ(told.workers.size(), 2u);
  for (const worker_status& each : told.workers) {
    EXPECT_EQ(each.waiter, waiter_kind::epoll);
    EXPECT_EQ(each.waiter_fallback, "");
    ASSERT_TRUE(each.usage);
    EXPECT_GT(each.usage->resident, 0u);
    EXPECT_EQ(each.usage->processes, 1u);
    EXPECT_GT(each.usage->voluntary_switches, 0u);
  }
  EXPECT_EQ(pool.stop(), 0) << pool.log();
}

TEST(pool_status, its_name_is_that_of_its_program_and_others_are_refused_with_a_reason) {
  auto pool = pool_process::serving_with({.workers = 1}, echo);
  static_cast<void>(pool.address());
  EXPECT_EQ(pool.status().name, "pool-test");
  EXPECT_EQ(pool.stop(), 0);
  for (const std::string bad : {"4711", "a b", "a/b", "-x", "a\"b", "\x1b[2J"}) {
    EXPECT_FALSE(why_no_pool_name(bad).empty()) << bad;
    auto refused = pool_process::serving_with({.name = bad, .workers = 1}, echo);
    EXPECT_EQ(refused.join(), 90);
    EXPECT_TRUE(refused.has_said("; give a name")) << refused.log();
  }
  EXPECT_EQ(why_no_pool_name(std::string(63, 'n')), "");
  EXPECT_NE(why_no_pool_name(std::string(64, 'n')), "");
}

class pool_status_of : public testing::TestWithParam<worker_model> {};
INSTANTIATE_TEST_SUITE_P(both, pool_status_of, testing::Values(worker_model::processes, worker_model::threads),
                         [](const auto& one) {
                           return one.param == worker_model::processes ? "processes" : "threads";
                         });

TEST_P(pool_status_of, totals_go_on_whichever_workers_end) {
  auto pool = pool_process::serving_with({.workers = 2, .model = GetParam()}, [](datagram& came) {
    if (came.text() == "die") throw std::runtime_error{"as asked"};
    echo(came);
  });
  const asking_client client{pool.address()};
  for (int asked = 0; asked < 10; ++asked) EXPECT_EQ(client.ask("12345"), "12345");
  EXPECT_TRUE(has_handled(pool, 10));
  for (std::uint64_t death = 1; death <= 3; ++death) {
    client.send("die");
    EXPECT_TRUE(eventually([&] { return pool.status().restarts == death && pool.workers().size() == 2; }))
        << pool.log();
    for (int asked = 0; asked < 10; ++asked) EXPECT_EQ(client.ask("12345"), "12345");
  }
  // The last answers leave before they are counted; what threw is counted as handled.
  EXPECT_TRUE(has_handled(pool, 43)) << counts_of(pool).handled;
  const pool_status told = pool.status();
  EXPECT_EQ(told.traffic->all.received, 43u);
  EXPECT_EQ(told.traffic->all.bytes, 40 * 5 + 3 * 3u);
  EXPECT_EQ(told.traffic->times.total(), 43u);
  EXPECT_EQ(told.traffic->times.sum, told.traffic->all.handler_time);
  std::uint64_t of_those_alive = 0;
  for (const worker_status& each : told.workers) {
    of_those_alive += each.traffic->all.received;
    ASSERT_TRUE(each.usage);
    EXPECT_EQ(each.usage->resident.has_value(), GetParam() == worker_model::processes);
  }
  EXPECT_LT(of_those_alive, 43u);
  pool.signal(SIGHUP);
  EXPECT_TRUE(eventually([&] { return pool.status().reloads == 1; }));
  EXPECT_TRUE(eventually([&] { return pool.workers().size() == 2; }));
  EXPECT_EQ(counts_of(pool).received, 43u) << "those that were replaced count on";
  EXPECT_EQ(pool.stop(), 0) << pool.log();
}

TEST(pool_status, no_total_ever_becomes_smaller_while_workers_are_killed) {
  auto pool = pool_process::serving_with(
      {.workers = 2, .restart = {.first_delay = 1ms, .longest_delay = 1ms, .crash_limit = 1'000'000}},
      [](datagram& came) {
        echo(came);
        if (came.text() == "die") ::_exit(3);
      });
  const asking_client client{pool.address()};
  std::uint64_t before = 0;
  std::uint64_t restarts = 0;
  for (std::uint64_t round = 0; restarts < 30; ++round) {
    client.send(round % 8 == 0 ? "die" : "x");
    const pool_status told = pool.status();
    ASSERT_GE(told.traffic->all.received, before);
    before = told.traffic->all.received;
    restarts = told.restarts;
  }
  EXPECT_EQ(pool.stop(), 0) << pool.log();
}

TEST(pool_status, ages_are_known_where_datagrams_are_stamped) {
  auto pool = pool_process::serving_with({.socket = {.receive_time = true}, .workers = 1}, [](datagram& came) {
    std::this_thread::sleep_for(60ms);
    echo(came);
  });
  const asking_client client{pool.address()};
  for (int sent = 0; sent < 4; ++sent) client.send("x");
  EXPECT_TRUE(has_handled(pool, 4));
  const auto ages = pool.status().traffic->ages;
  ASSERT_TRUE(ages);
  EXPECT_EQ(ages->total(), 4u);
  EXPECT_GE(ages->percentile(1.0), 180ms) << "the last one waited for the three before it";
  EXPECT_GE(ages->sum, 350ms) << "60, 120 and 180, less what passed between they were sent";
  EXPECT_LT(ages->percentile(0.25), 60ms);
  EXPECT_EQ(ages->below(60ms), 1u);
  EXPECT_EQ(pool.stop(), 0) << pool.log();
}

TEST(pool_status, brief_handlers_have_all_their_datagrams_aged_too) {
  auto pool = pool_process::serving_with({.workers = 1, .max_age = 10s}, [](datagram&) {});
  const asking_client client{pool.address()};
  constexpr std::uint64_t count = 2'000;
  for (std::uint64_t sent = 1; sent <= count; ++sent) {
    client.send("x");
    if (sent % 100 == 0) {
      ASSERT_TRUE(has_handled(pool, sent));
    }
  }
  const traffic_counts all = counts_of(pool);
  EXPECT_LE(all.aged, count);
  EXPECT_GT(all.aged, count - 32) << "one of sixteen stands for all";
  EXPECT_EQ(pool.status().traffic->ages->total(), all.aged);
  EXPECT_EQ(pool.stop(), 0) << pool.log();
}

TEST_P(pool_status_of, tickets_that_are_out_are_counted) {
  auto pool = pool_process::serving_with({.workers = 1, .model = GetParam()},
                                         [held = std::make_shared<std::vector<ticket>>()](datagram& came) {
                                           if (came.text() == "hold") held->push_back(came.hold());
                                           if (came.text() == "back") held->pop_back();
                                           echo(came);
                                         });
  const asking_client client{pool.address()};
  EXPECT_EQ(counts_of(pool).in_flight, 0u);
  for (int count = 0; count < 3; ++count) EXPECT_EQ(client.ask("hold"), "hold");
  EXPECT_EQ(counts_of(pool).in_flight, 3u);
  EXPECT_EQ(client.ask("back"), "back");
  EXPECT_EQ(pool.status().workers.at(0).traffic->all.in_flight, 2u);
  EXPECT_EQ(client.ask("back"), "back");
  EXPECT_EQ(client.ask("back"), "back");
  EXPECT_EQ(counts_of(pool).in_flight, 0u);
  EXPECT_EQ(pool.stop(), 0) << pool.log();
}

TEST(pool_status, what_waits_and_what_did_not_fit_is_told_by_the_kernel) {
  auto pool = pool_process::serving_with({.socket = {.receive_buffer = 32'768}, .workers = 1}, [](datagram& came) {
    if (came.text() == "wait") std::this_thread::sleep_for(1s);
  });
  const asking_client client{pool.address()};
  client.send("wait");
  EXPECT_TRUE(eventually([&] { return pool.status().workers.at(0).state == worker_state::handling; }));
  EXPECT_EQ(pool.status().sockets.at(0).queued, 0u);
  constexpr std::uint64_t count = 500;
  for (std::uint64_t sent = 0; sent < count; ++sent) client.send("x");
  const pool_status full = pool.status();
  const socket_status& socket = full.sockets.at(0);
  EXPECT_GT(socket.queued, *socket.room / 2);
  EXPECT_GT(socket.drops, 0u);
  EXPECT_GT(full.workers.at(0).handling_for, 0ns);
  EXPECT_TRUE(has_handled(pool, 1 + count - *socket.drops)) << "each was dropped or is handled";
  EXPECT_EQ(pool.status().sockets.at(0).drops, socket.drops);
  EXPECT_TRUE(eventually([&] { return pool.status().sockets.at(0).queued == 0u; }));
  EXPECT_EQ(pool.stop(), 0) << pool.log();
}

TEST(pool_status, each_lane_has_counts_of_its_own) {
  const auto begins_with_q =
      payload_match::bpf({BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 'q', 0, 1),
                          BPF_STMT(BPF_RET | BPF_K, 1), BPF_STMT(BPF_RET | BPF_K, 0)});
  auto pool = pool_process::serving_with(
      {.lanes = {{.name = "quick", .match = begins_with_q}, {.name = "rest"}}, .workers = 1}, echo);
  const asking_client client{pool.address()};
  for (int asked = 0; asked < 3; ++asked) EXPECT_EQ(client.ask("q"), "q");
  for (int asked = 0; asked < 5; ++asked) EXPECT_EQ(client.ask("slow"), "slow");
  EXPECT_TRUE(has_handled(pool, 8));
  const pool_status told = pool.status();
  EXPECT_THAT(told.lanes, ElementsAre("quick", "rest"));
  ASSERT_EQ(told.sockets.size(), 2u);
  EXPECT_EQ(told.sockets[0].lane, "quick");
  EXPECT_EQ(told.sockets[1].lane, "rest");
  EXPECT_EQ(told.sockets[0].address, told.sockets[1].address);
  EXPECT_NE(told.sockets[0].inode, told.sockets[1].inode);
  ASSERT_EQ(told.traffic->lanes.size(), 2u);
  EXPECT_EQ(told.traffic->lanes[0].handled, 3u);
  EXPECT_EQ(told.traffic->lanes[0].bytes, 3u);
  EXPECT_EQ(told.traffic->lanes[1].handled, 5u);
  EXPECT_EQ(told.workers.at(0).traffic->lanes.at(1).received, 5u);
  EXPECT_EQ(pool.stop(), 0) << pool.log();
}

TEST(pool_status, of_programs_what_nobody_knows_is_absent_and_the_kernel_tells_the_rest) {
  pool_process pool{{.workers = 2, .end_orphans = true}, [](worker_pool& made) {
                      const worker_program program{{"sh", "-c", "while :; do :; done & sleep 100"}};
                      return made.run(program, {.ready_after = 50ms});
                    }};
  static_cast<void>(pool.address());
  const auto have_started_theirs = [&pool] {
    const pool_status now = pool.status();
    return std::ranges::all_of(now.workers, [](const auto& each) { return each.usage && each.usage->processes == 3; });
  };
  EXPECT_TRUE(eventually(have_started_theirs)) << "the shell, and what it started";
  const pool_status told = pool.status();
  EXPECT_EQ(told.kind, worker_kind::programs);
  EXPECT_FALSE(told.traffic);
  EXPECT_FALSE(told.kicks);
  EXPECT_FALSE(told.redelivery);
  EXPECT_EQ(told.sockets.at(0).queued, 0u);
  EXPECT_EQ(told.sockets.at(0).drops, 0u);
  ASSERT_EQ(told.workers.size(), 2u);
  for (const worker_status& each : told.workers) {
    EXPECT_EQ(each.state, worker_state::serving);
    EXPECT_FALSE(each.traffic);
    EXPECT_FALSE(each.kicks);
    EXPECT_FALSE(each.handling_for);
    EXPECT_FALSE(each.waiter);
    ASSERT_TRUE(each.usage);
    EXPECT_EQ(each.usage->processes, 3u);
    EXPECT_GT(each.usage->resident, 0u);
  }
  EXPECT_TRUE(eventually([&] { return pool.status().workers.at(1).usage->cpu > 100ms; })) << "that of its children";
  EXPECT_EQ(pool.stop(), 0) << pool.log();
}

TEST(pool_status, a_pool_is_found_once_and_is_gone_when_it_has_ended) {
  auto one = pool_process::serving_with({.name = "one", .workers = 2}, echo);
  auto two = pool_process::serving_with({.name = "two", .workers = 1}, echo);
  static_cast<void>(one.address());
  static_cast<void>(two.address());
  std::vector<std::string> names;
  for (const pool_status& each : pool_status::all()) {
    if (each.parent == one.pid() || each.parent == two.pid()) names.push_back(each.name);
    for (const pid_t worker : one.workers()) EXPECT_NE(each.parent, worker);
  }
  EXPECT_THAT(names, testing::UnorderedElementsAre("one", "two"));
  const pool_reader reader{one.pid()};
  EXPECT_EQ(reader.parent(), one.pid());
  EXPECT_EQ(reader.read().name, "one");
  EXPECT_EQ(one.stop(), 0);
  const auto refusal = [](auto call) {
    try {
      call();
    } catch (const std::system_error& refused) {
      return refused.code();
    }
    return std::error_code{};
  };
  EXPECT_EQ(refusal([&] { static_cast<void>(reader.read()); }), std::errc::no_such_process);
  EXPECT_EQ(refusal([&] { static_cast<void>(pool_status::of(one.pid())); }), std::errc::no_such_process);
  child_process other{[] {
    ::execl("/bin/sleep", "sleep", "1000", nullptr);
    return 1;
  }};
  EXPECT_TRUE(eventually([&] {
    return refusal([&] { static_cast<void>(pool_status::of(other.pid())); }) == std::errc::no_such_process;
  })) << "it runs no pool";
  EXPECT_EQ(two.stop(), 0);
}

TEST(time_histogram, counts_what_is_below_a_limit) {
  const time_histogram none;
  EXPECT_FALSE(none.percentile(0.5));
  EXPECT_EQ(none.below(1s), 0u);
  time_histogram some{.counts = std::vector<std::uint64_t>(20)};
  some.counts[0] = 3;   // below 8 ns
  some.counts[1] = 2;   // 8 to 9
  some.counts[10] = 1;  // 18 to 20
  EXPECT_EQ(some.total(), 6u);
  EXPECT_EQ(some.below(7ns), 0u);
  EXPECT_EQ(some.below(8ns), 3u);
  EXPECT_EQ(some.below(9ns), 5u);
  EXPECT_EQ(some.below(19ns), 5u);
  EXPECT_EQ(some.below(20ns), 6u);
  EXPECT_EQ(time_histogram::end_of(10), 20ns);
}

}  // namespace
