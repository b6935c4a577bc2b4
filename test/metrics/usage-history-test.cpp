// What the kernel counts of processes becomes counters.

#include "metrics/usage_history.hpp"

#include <gtest/gtest.h>

namespace {

using namespace udppump;
using namespace std::chrono_literals;
using metrics::usage_history;

constexpr usage_history::clock::time_point start{};

process_usage used(std::chrono::nanoseconds cpu, std::uint64_t voluntary, std::uint64_t involuntary) {
  return {.cpu = cpu, .voluntary_switches = voluntary, .involuntary_switches = involuntary, .resident = 4096};
}

std::vector<pool_status> pools_with(pid_t worker, std::chrono::nanoseconds uptime, std::optional<process_usage> usage) {
  pool_status pool;
  pool.parent = 7;
  pool.uptime = 1h;
  pool.usage = used(1s, 10, 1);
  pool.workers = {{.number = 0, .pid = worker, .uptime = uptime, .usage = usage}};
  return {pool};
}

void expect(const std::optional<process_usage>& told, std::chrono::nanoseconds cpu, std::uint64_t voluntary,
            std::uint64_t involuntary) {
  ASSERT_TRUE(told);
  EXPECT_EQ(told->cpu, cpu);
  EXPECT_EQ(told->voluntary_switches, voluntary);
  EXPECT_EQ(told->involuntary_switches, involuntary);
  EXPECT_EQ(told->resident, 4096u) << "as it is";
}

std::optional<process_usage> told_of_worker(usage_history& history, std::vector<pool_status> pools,
                                            usage_history::clock::time_point now = start) {
  history.keep_from_going_back(pools, now);
  return pools.at(0).workers.at(0).usage;
}

TEST(usage_history, counts_do_not_go_back_when_a_thread_or_an_unwaited_process_ends_and_go_on_from_there) {
  usage_history history;
  expect(told_of_worker(history, pools_with(8, 1s, used(5s, 100, 50))), 5s, 100, 50);
  expect(told_of_worker(history, pools_with(8, 2s, used(6s, 110, 55))), 6s, 110, 55);
  expect(told_of_worker(history, pools_with(8, 3s, used(2s, 30, 60))), 6s, 110, 60);
  expect(told_of_worker(history, pools_with(8, 4s, used(3s, 31, 61))), 7s, 111, 61);
}

TEST(usage_history, the_parent_has_one_too) {
  usage_history history;
  auto pools = pools_with(8, 1s, used(5s, 100, 50));
  history.keep_from_going_back(pools, start);
  pools[0].usage = used(900ms, 4, 3);
  history.keep_from_going_back(pools, start);
  expect(pools[0].usage, 1s, 10, 3);
}

TEST(usage_history, another_worker_begins_anew_also_with_the_same_id) {
  usage_history history;
  expect(told_of_worker(history, pools_with(8, 9s, used(5s, 100, 50))), 5s, 100, 50);
  expect(told_of_worker(history, pools_with(9, 1s, used(1s, 2, 3))), 1s, 2, 3);
  expect(told_of_worker(history, pools_with(9, 500ms, used(10ms, 1, 1))), 10ms, 1, 1);
}

TEST(usage_history, what_is_missing_goes_on_if_it_is_back_within_15_minutes) {
  for (const bool is_in_time : {true, false}) {
    usage_history history;
    expect(told_of_worker(history, pools_with(8, 1s, used(5s, 100, 50))), 5s, 100, 50);
    std::vector<pool_status> none;
    const auto away = is_in_time ? 900s : 901s;
    history.keep_from_going_back(none, start + 1s);
    history.keep_from_going_back(none, start + away);
    const auto back = told_of_worker(history, pools_with(8, 2s + away, used(1s, 120, 3)), start + 1s + away);
    expect(back, is_in_time ? 5s : 1s, 120, is_in_time ? 50 : 3);
  }
}

TEST(usage_history, who_gets_the_id_of_one_that_is_missing_begins_anew) {
  usage_history history;
  expect(told_of_worker(history, pools_with(8, 1s, used(5s, 100, 50))), 5s, 100, 50);
  std::vector<pool_status> none;
  history.keep_from_going_back(none, start + 1min);
  expect(told_of_worker(history, pools_with(8, 2s, used(1s, 2, 3)), start + 5min), 1s, 2, 3);
}

TEST(usage_history, an_uptime_that_no_process_has_does_no_harm) {
  usage_history history;
  expect(told_of_worker(history, pools_with(8, std::chrono::nanoseconds::max(), used(5s, 100, 50))), 5s, 100, 50);
  expect(told_of_worker(history, pools_with(8, std::chrono::nanoseconds::max(), used(1s, 2, 3)), start + 1min), 5s, 100,
         50);
}

TEST(usage_history, of_ten_thousand_that_are_missing_those_that_are_so_for_longest_are_forgotten) {
  usage_history history;
  expect(told_of_worker(history, pools_with(8, 1s, used(5s, 100, 50))), 5s, 100, 50);
  expect(told_of_worker(history, pools_with(9, 1s, used(5s, 100, 50)), start + 1s), 5s, 100, 50);
  auto many = pools_with(10, 1s, used(5s, 100, 50));
  many[0].workers.resize(9'999, many[0].workers[0]);
  for (std::size_t at = 0; at < many[0].workers.size(); ++at) many[0].workers[at].pid = static_cast<pid_t>(10 + at);
  history.keep_from_going_back(many, start + 2s);
  std::vector<pool_status> none;
  history.keep_from_going_back(none, start + 3s);  // the parent is among those that are kept
  expect(told_of_worker(history, pools_with(10, 5s, used(1s, 2, 3)), start + 4s), 5s, 100, 50);
  expect(told_of_worker(history, pools_with(9, 5s, used(1s, 2, 3)), start + 4s), 1s, 2, 3);
  expect(told_of_worker(history, pools_with(8, 5s, used(1s, 2, 3)), start + 4s), 1s, 2, 3);
}

TEST(usage_history, what_cannot_be_looked_at_for_a_while_goes_on_afterwards) {
  usage_history history;
  expect(told_of_worker(history, pools_with(8, 1s, used(5s, 100, 50))), 5s, 100, 50);
  EXPECT_FALSE(told_of_worker(history, pools_with(8, 2s, std::nullopt)));
  expect(told_of_worker(history, pools_with(8, 3s, used(4s, 101, 40))), 5s, 101, 50);
}

}  // namespace
