// The number of workers changes while a pool runs.

#include <gtest/gtest.h>
#include <linux/filter.h>
#include <signal.h>

#include <climits>
#include <cstdint>
#include <string>
#include <vector>

#include "pool/lane_plan.hpp"
#include "pool/reload.hpp"
#include "pool/scale_order.hpp"
#include "support/asking_client.hpp"
#include "support/pool_process.hpp"
#include "support/steady_load.hpp"

using namespace udppump;
using namespace std::chrono_literals;
using detail::lane_plan;
using detail::scale_order;

namespace {

signalfd_siginfo came(int signal, int code, int value = 0) {
  signalfd_siginfo one{};
  one.ssi_signo = static_cast<std::uint32_t>(signal);
  one.ssi_code = code;
  one.ssi_int = value;
  one.ssi_pid = 12;
  one.ssi_uid = 34;
  return one;
}

TEST(scale, a_signal_asks_for_one_more_or_one_fewer_or_for_a_number) {
  EXPECT_EQ(scale_order::of(came(SIGTTIN, SI_USER), 4)->workers, 5);
  EXPECT_EQ(scale_order::of(came(SIGTTIN, SI_USER), 4)->asked_by, "SIGTTIN from process 12 of user 34");
  EXPECT_EQ(scale_order::of(came(SIGTTOU, SI_TKILL), 4)->workers, 3);
  EXPECT_EQ(scale_order::of(came(SIGTTIN, SI_QUEUE, 17), 4)->workers, 17);
  EXPECT_EQ(scale_order::of(came(SIGTTIN, SI_QUEUE, -17), 4)->workers, -17);
  EXPECT_EQ(scale_order::of(came(SIGTTOU, SI_QUEUE, 17), 4)->workers, 3);
}

TEST(scale, what_the_kernel_sends_to_who_uses_a_terminal_asks_for_nothing) {
  EXPECT_FALSE(scale_order::of(came(SIGTTIN, SI_KERNEL), 4));
  EXPECT_FALSE(scale_order::of(came(SIGTTOU, SI_KERNEL), 4));
}

TEST(scale, a_reload_ends_at_the_workers_that_are_left) {
  detail::reload steps{4, 2};
  EXPECT_EQ(steps.turns(), (std::vector<std::size_t>{0, 1}));
  steps.end_at(1);
  EXPECT_EQ(steps.turns(), (std::vector<std::size_t>{0}));
  steps.end_at(3);
  EXPECT_EQ(steps.next(0, {}), detail::reload::step::go_on);
  EXPECT_TRUE(steps.turns().empty()) << "who was added is new";
  auto one = detail::reload::of_one(3);
  one.end_at(3);
  EXPECT_TRUE(one.turns().empty());
}

TEST(scale, lanes_keep_their_workers_and_must_have_some) {
  const std::vector<lane> lanes{{.name = "quick", .reserve = 2}, {.name = "rest"}};
  lane_plan plan{lanes, 4};
  EXPECT_FALSE(plan.scale(lanes, 6));
  EXPECT_EQ(plan.lanes_of(1), 1u);
  EXPECT_EQ(plan.lanes_of(5), 3u);
  EXPECT_FALSE(plan.scale(lanes, 3));
  EXPECT_THROW(plan.scale(lanes, 2), std::invalid_argument);
  EXPECT_EQ(plan.lanes_of(2), 3u);
}

TEST(scale, what_the_pool_reserves_by_itself_leaves_a_worker_for_later_lanes) {
  const std::vector<lane> lanes{{.name = "quick", .reserve = automatic_reserve}, {.name = "rest"}};
  lane_plan plan{lanes, 8};
  plan.reserve(0, 6);
  EXPECT_FALSE(plan.scale(lanes, 7)) << "each serves what it did";
  EXPECT_EQ(plan.reserve_of(0), 6u);
  EXPECT_TRUE(plan.scale(lanes, 3));
  EXPECT_EQ(plan.reserve_of(0), 2u);
  EXPECT_EQ(plan.lanes_of(2), 3u);
}

TEST(scale, more_are_started_and_the_highest_numbers_stop) {
  auto pool = pool_process::serving_with({.workers = 2}, echo);
  const asking_client client{pool.address()};
  const auto first = pool.workers();
  pool.signal(SIGTTIN);
  EXPECT_TRUE(pool.says("scaled: 3 workers from now on, instead of 2, for SIGTTIN from process")) << pool.log();
  EXPECT_TRUE(eventually([&] { return pool.workers().size() == 3; })) << pool.log();
  pool.signal(SIGTTOU);
  EXPECT_TRUE(pool.says("scaled: 2 workers from now on, instead of 3")) << pool.log();
  EXPECT_TRUE(eventually([&] { return pool.workers() == first; })) << pool.log();
  pool.signal(SIGTTOU);
  EXPECT_TRUE(eventually([&] { return pool.workers() == std::vector<pid_t>{first[0]}; })) << pool.log();
  EXPECT_EQ(client.ask("one"), "one");
  pool.signal(SIGTTOU);
  EXPECT_TRUE(pool.says("scale-refused: SIGTTOU from process")) << pool.log();
  EXPECT_TRUE(pool.has_said("wants 0 workers instead of 1: refused, as at least one worker is needed")) << pool.log();
  EXPECT_EQ(client.ask("one"), "one");
  EXPECT_EQ(pool.status().restarts, 0u);
  EXPECT_EQ(pool.status().workers_wanted, 1u);
  EXPECT_EQ(pool.status().scale_orders, 4u);
  EXPECT_EQ(pool.stop(), 0) << pool.log();
}

TEST(scale, a_number_is_refused_if_it_cannot_be) {
  auto pool = pool_process::serving_with({.workers = 2, .max_workers = 5}, echo);
  const asking_client client{pool.address()};
  std::uint64_t orders = 0;
  for (const int hostile : {0, -1, 6, INT_MAX, INT_MIN}) {
    ASSERT_EQ(::sigqueue(pool.pid(), SIGTTIN, {.sival_int = hostile}), 0);
    ++orders;
    EXPECT_TRUE(eventually([&] { return pool.status().scale_orders == orders; })) << pool.log();
    EXPECT_TRUE(pool.has_said(" wants " + std::to_string(hostile) + " workers instead of 2: refused")) << pool.log();
  }
  EXPECT_EQ(pool.workers().size(), 2u);
  ASSERT_EQ(::sigqueue(pool.pid(), SIGTTIN, {.sival_int = 5}), 0);
  EXPECT_TRUE(eventually([&] { return pool.workers().size() == 5; })) << pool.log();
  EXPECT_EQ(client.ask("five"), "five");
  EXPECT_EQ(pool.stop(), 0) << pool.log();
}

TEST(scale, a_dead_worker_that_is_too_many_has_no_successor) {
  auto pool = pool_process::serving_with({.workers = 2, .restart = {.first_delay = 500ms}}, echo);
  const asking_client client{pool.address()};
  const auto first = pool.workers();
  ::kill(first[1], SIGKILL);
  EXPECT_TRUE(pool.says("another is started in")) << pool.log();
  pool.signal(SIGTTOU);
  EXPECT_TRUE(pool.says("scaled: 1 worker ")) << pool.log();
  std::this_thread::sleep_for(700ms);  // it would have come
  EXPECT_EQ(pool.workers(), std::vector<pid_t>{first[0]});
  EXPECT_EQ(pool.stop(), 0) << pool.log();
}

payload_match first_is_q() {
  return payload_match::bpf({BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 'q', 0, 1),
                             BPF_STMT(BPF_RET | BPF_K, 1), BPF_STMT(BPF_RET | BPF_K, 0)});
}

class scale_of : public testing::TestWithParam<worker_model> {};

TEST_P(scale_of, workers_under_load_loses_nothing_also_in_reloads) {
  auto pool = pool_process{{.workers = 2, .max_workers = 12, .model = GetParam()}, [](worker_pool& made) {
                             return made.serve([&made](datagram& received) {
                               if (received.text().starts_with("scale")) {
                                 made.request_scale(std::stoul(std::string{received.text().substr(5)}));
                               }
                               echo(received);
                             });
                           }};
  const asking_client client{pool.address()};
  steady_load load{pool.address(), 500us};
  unsigned step = 0;
  const std::size_t numbers[] = {9, 3, 3, 12, 1, 7, 2};
  auto next = std::chrono::steady_clock::now();
  load.run(load_time(), [&] {
    if (std::chrono::steady_clock::now() < next) return;
    next += 60ms;
    const std::string order = "scale" + std::to_string(numbers[step % std::size(numbers)]);
    EXPECT_EQ(client.ask(order), order);
    if (step++ % 3 == 0) pool.signal(SIGHUP);
  });
  load.settle();
  EXPECT_EQ(load.unanswered(), 0u);
  EXPECT_EQ(load.repeated(), 0u);
  EXPECT_EQ(client.ask("scale4"), "scale4");
  EXPECT_TRUE(eventually([&] { return pool.status().workers.size() == 4; })) << pool.log();
  EXPECT_EQ(pool.status().workers_wanted, 4u);
  EXPECT_FALSE(pool.has_said("worker-died")) << pool.log();
  EXPECT_FALSE(pool.has_said("reload-failed")) << pool.log();
  EXPECT_EQ(pool.stop(), 0) << pool.log();
}

INSTANTIATE_TEST_SUITE_P(, scale_of, testing::Values(worker_model::processes, worker_model::threads),
                         [](const auto& model) {
                           return std::string{model.param == worker_model::processes ? "processes" : "threads"};
                         });

TEST(scale, a_lane_without_workers_is_refused) {
  auto pool = pool_process::serving_with(
      {.lanes = {{.name = "quick", .match = first_is_q(), .reserve = 2}, {.name = "rest"}}, .workers = 4}, echo);
  const asking_client client{pool.address()};
  ASSERT_EQ(::sigqueue(pool.pid(), SIGTTIN, {.sival_int = 2}), 0);
  EXPECT_TRUE(pool.says("wants 2 workers instead of 4: refused, as lanes: ")) << pool.log();
  ASSERT_EQ(::sigqueue(pool.pid(), SIGTTIN, {.sival_int = 3}), 0);
  EXPECT_TRUE(eventually([&] { return pool.workers().size() == 3; })) << pool.log();
  EXPECT_EQ(client.ask("quick"), "quick");
  EXPECT_EQ(client.ask("rest"), "rest");
  EXPECT_EQ(pool.stop(), 0) << pool.log();
}

}  // namespace
