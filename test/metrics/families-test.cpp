// What Prometheus is told of a pool, from a status that is planted.

#include "metrics/families.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <prometheus/check_names.h>
#include <prometheus/text_serializer.h>

#include <sstream>

#include "metrics/pool_labels.hpp"

namespace {

using namespace udppump;
using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;

std::vector<prometheus::MetricFamily> families_of(const std::vector<pool_status>& pools) {
  return metrics::families_of(pools, metrics::pool_labels{}.of(pools, {}));
}

std::string told(const std::vector<pool_status>& pools) {
  return prometheus::TextSerializer{}.Serialize(families_of(pools));
}

time_histogram times(std::initializer_list<std::pair<std::size_t, std::uint64_t>> buckets) {
  time_histogram all;
  all.counts.resize(304);
  for (const auto& [bucket, count] : buckets) all.counts[bucket] = count;
  all.sum = 1500ms;
  return all;
}

pool_status handlers() {
  pool_status one;
  one.parent = 7;
  one.name = "dns";
  one.version = "0.1";
  one.kind = worker_kind::handlers;
  one.uptime = 60s;
  one.workers_wanted = 2;
  one.restarts = 3;
  one.reloads = 4;
  one.hangs = 5;
  one.kicks = 6;
  one.traffic.emplace();
  one.traffic->all = {
      .received = 10, .bytes = 100, .handled = 9, .ignored = 1, .quarantined = 2, .expired = 3, .limited = 4};
  one.traffic->times = times({{0, 2}, {100, 7}});
  socket_status socket;
  socket.address = "127.0.0.1:53";
  socket.queued = 11;
  socket.room = 12;
  socket.drops = 13;
  one.sockets = {socket};
  for (std::size_t number = 0; number < 2; ++number) {
    worker_status worker;
    worker.number = number;
    worker.state = number == 0 ? worker_state::idle : worker_state::handling;
    if (number == 1) worker.handling_for = 2500ms;
    one.workers.push_back(worker);
  }
  return one;
}

TEST(metric_families, a_pool_of_handlers_is_told_of) {
  const std::string text = told({handlers()});
  for (const char* const line : {"udppump_pools 1\n",
                                 "udppump_pool_info{pool=\"dns\",version=\"0.1\",kind=\"handlers\",parent=\"7\"} 1\n",
                                 "udppump_uptime_seconds{pool=\"dns\"} 60\n",
                                 "udppump_workers_wanted{pool=\"dns\"} 2\n",
                                 "udppump_worker_restarts_total{pool=\"dns\"} 3\n",
                                 "udppump_reloads_total{pool=\"dns\"} 4\n",
                                 "udppump_worker_hangs_total{pool=\"dns\"} 5\n",
                                 "udppump_kicks_total{pool=\"dns\"} 6\n",
                                 "udppump_datagrams_received_total{pool=\"dns\"} 10\n",
                                 "udppump_received_bytes_total{pool=\"dns\"} 100\n",
                                 "udppump_datagrams_handled_total{pool=\"dns\"} 9\n",
                                 "udppump_datagrams_dropped_total{pool=\"dns\",reason=\"source\"} 1\n",
                                 "udppump_datagrams_dropped_total{pool=\"dns\",reason=\"quarantine\"} 2\n",
                                 "udppump_datagrams_dropped_total{pool=\"dns\",reason=\"too_old\"} 3\n",
                                 "udppump_datagrams_dropped_total{pool=\"dns\",reason=\"client_limit\"} 4\n",
                                 "udppump_socket_queue_bytes{pool=\"dns\",address=\"127.0.0.1:53\"} 11\n",
                                 "udppump_socket_queue_limit_bytes{pool=\"dns\",address=\"127.0.0.1:53\"} 12\n",
                                 "udppump_socket_drops_total{pool=\"dns\",address=\"127.0.0.1:53\"} 13\n",
                                 "udppump_workers{pool=\"dns\",state=\"idle\"} 1\n",
                                 "udppump_workers{pool=\"dns\",state=\"handling\"} 1\n",
                                 "udppump_workers{pool=\"dns\",state=\"starting\"} 0\n",
                                 "udppump_longest_handler_seconds{pool=\"dns\"} 2.5\n",
                                 "udppump_handler_seconds_count{pool=\"dns\"} 9\n",
                                 "udppump_handler_seconds_sum{pool=\"dns\"} 1.5\n"}) {
    EXPECT_THAT(text, HasSubstr(line));
  }
}

TEST(metric_families, what_is_not_known_is_absent) {
  const std::string all = told({handlers()});
  for (const char* const name :
       {"age_seconds", "redelivered", "poisoned", "receive_buffer", "oldest", "cpu_seconds", "resident", "lane="}) {
    EXPECT_THAT(all, Not(HasSubstr(name)));
  }
  pool_status programs = handlers();
  programs.kind = worker_kind::programs;
  programs.traffic.reset();
  programs.kicks.reset();
  const std::string text = told({programs});
  for (const char* const name : {"udppump_datagrams", "handler_seconds", "received_bytes", "kicks"}) {
    EXPECT_THAT(text, Not(HasSubstr(name)));
  }
}

TEST(metric_families, buckets_are_cumulative_and_at_ends_where_the_count_is_exact) {
  const auto all = families_of({handlers()});
  const auto found = std::ranges::find(all, "udppump_handler_seconds", &prometheus::MetricFamily::name);
  ASSERT_NE(found, all.end());
  const auto& histogram = found->metric.at(0).histogram;
  ASSERT_EQ(histogram.bucket.size(), 26U);
  EXPECT_DOUBLE_EQ(histogram.bucket.front().upper_bound, 1024e-9);
  EXPECT_EQ(histogram.bucket.front().cumulative_count, 2U);
  EXPECT_EQ(histogram.bucket.back().cumulative_count, 9U);
  const auto end = time_histogram::end_of(100);
  for (const auto& bucket : histogram.bucket) {
    const bool is_beyond = bucket.upper_bound * 1e9 >= static_cast<double>(end.count());
    EXPECT_EQ(bucket.cumulative_count, is_beyond ? 9U : 2U) << bucket.upper_bound;
  }
}

TEST(metric_families, lanes_replace_the_sum_over_them) {
  pool_status one = handlers();
  one.lanes = {"quick", "rest"};
  one.traffic->lanes.resize(2);
  one.traffic->lanes[0].handled = 4;
  one.traffic->lanes[1].handled = 5;
  const std::string text = told({one});
  EXPECT_THAT(text, HasSubstr("udppump_datagrams_handled_total{pool=\"dns\",lane=\"quick\"} 4\n"));
  EXPECT_THAT(text, HasSubstr("udppump_datagrams_handled_total{pool=\"dns\",lane=\"rest\"} 5\n"));
  EXPECT_THAT(text, Not(HasSubstr("udppump_datagrams_handled_total{pool=\"dns\"}")));
}

TEST(metric_families, no_two_series_are_alike_whatever_pools_say) {
  pool_status one = handlers();
  one.sockets.push_back(one.sockets[0]);  // the same address twice
  one.workers.push_back(one.workers[0]);  // as in a reload
  one.workers[0].usage.emplace();
  one.workers[2].usage.emplace();
  pool_status other = one;
  other.parent = 8;
  pool_status odd = one;
  odd.parent = 9;
  odd.name = "a\"b\\c\nd";
  odd.sockets[0].address = "\n} 1\nudppump_pools 99";
  odd.lanes = {"\"", "\""};
  const std::string text = told({one, other, odd});
  std::set<std::string> series;
  std::istringstream lines{text};
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with('#')) continue;
    EXPECT_TRUE(series.insert(line.substr(0, line.rfind(' '))).second) << line;
  }
  EXPECT_THAT(text, HasSubstr("pool=\"dns#2\""));
  EXPECT_THAT(text, Not(HasSubstr("\nudppump_pools 99")));
}

TEST(metric_families, pools_with_many_workers_have_no_series_for_each) {
  pool_status one = handlers();
  EXPECT_THAT(told({one}), HasSubstr("worker=\"1\""));
  for (std::size_t number = 2; number < 65; ++number) {
    one.workers.push_back(one.workers[0]);
    one.workers.back().number = number;
  }
  EXPECT_THAT(told({one}), Not(HasSubstr("worker=")));
}

TEST(metric_families, names_are_as_prometheus_wants_them) {
  for (const auto& family : families_of({handlers()})) {
    EXPECT_TRUE(prometheus::CheckMetricName(family.name)) << family.name;
    EXPECT_TRUE(family.help.ends_with('.')) << family.name;
    EXPECT_EQ(family.type == prometheus::MetricType::Counter, family.name.ends_with("_total")) << family.name;
  }
}

}  // namespace
