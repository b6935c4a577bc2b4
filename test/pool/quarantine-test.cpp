#include "pool/quarantine.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include "support/asking_client.hpp"
#include "support/pool_process.hpp"

using namespace udppump;
using namespace std::chrono_literals;
using testing::HasSubstr;

namespace {

void die_or_echo(datagram& received) {
  if (received.text() == "die") ::_exit(3);
  received.reply(received.payload);
}
/// With a datagram that is poisoned at its first death.
pool_options with_quarantine(sender_quarantine rule, unsigned most = 0) {
  return {.workers = 2,
          .restart = {.first_delay = 1ms, .crash_limit = 1000},
          .redeliver = redelivery{.most = most, .largest = 1500},
          .quarantine = rule};
}
std::uint64_t dropped(const pool_process& pool) {
  std::uint64_t sum = 0;
  for (const auto& one : pool.status().workers) sum += one.traffic->all.quarantined;
  return sum;
}

TEST(quarantine, a_sender_whose_datagrams_workers_died_of_is_not_served_and_others_are) {
  auto pool = pool_process::serving_with(with_quarantine({.deaths = 2, .time = 10min}), die_or_echo);
  const address server = pool.address();
  const auto bad = bound({}, "127.0.0.2:0");
  for (unsigned deaths = 1; deaths <= 2; ++deaths) {
    ASSERT_FALSE(bad.send_to("hello", server));
    EXPECT_EQ(received(bad), "hello") << deaths;
    ASSERT_FALSE(bad.send_to("die", server));
    ASSERT_TRUE(eventually([&] { return pool.status().redelivery->poisoned == deaths; })) << pool.log();
  }
  EXPECT_TRUE(pool.says("sender-quarantined: 127.0.0.2 is in quarantine for 600.0 s: 2 workers died with a datagram"))
      << pool.log();
  const auto other_port = bound({}, "127.0.0.2:0");
  ASSERT_FALSE(other_port.send_to("hello", server));
  ASSERT_FALSE(bad.send_to("die", server));
  EXPECT_TRUE(eventually([&] { return dropped(pool) == 2; })) << dropped(pool);
  EXPECT_EQ(asking_client{server}.ask("hello"), "hello");
  EXPECT_FALSE(received(other_port, 0ms).has_value());
  EXPECT_EQ(pool.status().redelivery->quarantines, 1u);
  EXPECT_EQ(pool.status().redelivery->poisoned, 2u);
  EXPECT_EQ(pool.stop(), 0) << pool.log();
}

TEST(quarantine, ends_after_its_time) {
  auto pool = pool_process::serving_with(with_quarantine({.deaths = 1, .time = 500ms}), die_or_echo);
  const asking_client client{pool.address()};
  client.send("die");
  ASSERT_TRUE(pool.says("sender-quarantined: 127.0.0.1 is in quarantine for 500 ms: 1 worker died")) << pool.log();
  EXPECT_TRUE(eventually([&] {
    client.send("hello");
    return client.receive(100ms) == "hello";
  })) << pool.log();
  EXPECT_EQ(pool.stop(), 0) << pool.log();
}

TEST(quarantine, what_the_sender_has_in_work_is_not_given_to_yet_another_worker) {
  auto pool = pool_process::serving_with(with_quarantine({.deaths = 2, .time = 10min}, 100), die_or_echo);
  asking_client{pool.address()}.send("die");
  EXPECT_TRUE(pool.says("deaths=2")) << pool.log();
  EXPECT_EQ(pool.status().redelivery->redelivered, 1u);
  EXPECT_EQ(pool.stop(), 0) << pool.log();
}

TEST(quarantine, what_a_pump_drops_for_its_source_is_counted_and_not_given_to_another_worker) {
  const auto unwanted = bound();
  auto pool = pool_process::serving_with(with_quarantine({}), die_or_echo,
                                         {.ignore_from = {.ports = {unwanted.local().port()}}});
  ASSERT_FALSE(unwanted.send_to("die", pool.address()));
  const auto ignored = [&] {
    std::uint64_t sum = 0;
    for (const auto& one : pool.status().workers) sum += one.traffic->all.ignored;
    return sum;
  };
  EXPECT_TRUE(eventually([&] { return ignored() == 1; }));
  for (const pid_t worker : pool.workers()) ::kill(worker, SIGKILL);
  ASSERT_TRUE(eventually([&] { return pool.status().restarts == 2; })) << pool.log();
  EXPECT_EQ(asking_client{pool.address()}.ask("hello"), "hello");
  EXPECT_EQ(pool.status().redelivery->redelivered + pool.status().redelivery->poisoned, 0u) << pool.log();
  EXPECT_EQ(pool.stop(), 0) << pool.log();
}

TEST(quarantine, is_refused_where_the_datagram_is_not_known_or_the_rule_makes_no_sense) {
  const auto why = [](pool_options options) -> std::string {
    options.bind = {"127.0.0.1:0"};
    try {
      const worker_pool made{std::move(options)};
    } catch (const std::invalid_argument& refused) {
      return refused.what();
    }
    return "accepted";
  };
  EXPECT_THAT(why({.quarantine = sender_quarantine{}}), HasSubstr("quarantine requires redeliver"));
  EXPECT_THAT(why(with_quarantine({.deaths = 0})), HasSubstr("is not above 0; give 1 at least"));
  EXPECT_THAT(why(with_quarantine({.time = 0ms})), HasSubstr("is not above 0; give 1 at least"));
  EXPECT_THAT(why(with_quarantine({.time = -1ms})), HasSubstr("is not above 0; give 1 at least"));
  EXPECT_EQ(why(with_quarantine({})), "accepted");
}

// --- the parent's part alone, with a clock of the test's -------------------------------------------------------------

class quarantine_of : public testing::Test {
 protected:
  using clock = detail::quarantine::clock;

  detail::quarantine make(sender_quarantine rule) { return {rule, shared, log}; }
  bool workers_drop(const char* from) const { return shared.header().quarantined.holds(address::parse(from)); }
  static address sender(unsigned number) {
    return address::parse("10." + std::to_string(number >> 16) + '.' + std::to_string(number >> 8 & 255) + '.' +
                          std::to_string(number & 255) + ":7");
  }

  std::vector<std::string> texts;
  const detail::pool_log log{[this](const pool_event& event) { texts.push_back(event.text); }};
  detail::board shared{1, 0};
  const clock::time_point now = clock::now();
};

TEST_F(quarantine_of, ipv4_is_by_host_ipv6_by_its_first_64_bits_and_link_local_by_the_last) {
  auto made = make({.deaths = 1});
  for (const char* each : {"192.0.2.1:7", "[2001:db8:1:2::3]:7", "[fe80::1:2]:7", "[::1]:7", "unix:/run/x", "unix:"}) {
    made.note_death(address::parse_numeric(each).value_or(address{}), now);
  }
  for (const char* each : {"192.0.2.1:8", "[::ffff:192.0.2.1]:7", "[2001:db8:1:2:3:4:5:6]:9", "[fe80::1:2%lo]:7",
                           "[::1]:9", "unix:/run/x"}) {
    EXPECT_TRUE(workers_drop(each)) << each;
  }
  for (const char* each : {"192.0.2.2:7", "[2001:db8:1:3::3]:7", "[fe80::1:3]:7", "unix:/run/y", "unix:@x"}) {
    EXPECT_FALSE(workers_drop(each)) << each;
  }
  EXPECT_FALSE(shared.header().quarantined.holds(address{}));
  EXPECT_THAT(texts.at(0), testing::StartsWith("192.0.2.1 is in quarantine"));
  EXPECT_EQ(shared.counted(detail::tally::quarantines), 5u);
}

TEST_F(quarantine_of, ipv6_is_named_by_the_part_that_counts) {
  auto made = make({.deaths = 1});
  made.note_death(address::parse("[2001:db8:1:2::3]:7"), now);
  made.note_death(address::parse("[fe80::1:2]:7"), now + 2s);
  ASSERT_EQ(texts.size(), 2u);
  EXPECT_THAT(texts[0], testing::StartsWith("2001:db8:1:2::/64 is in quarantine"));
  EXPECT_THAT(texts[1], testing::StartsWith("fe80::1:2 is in quarantine"));
}

TEST_F(quarantine_of, deaths_count_if_they_are_not_too_far_apart) {
  auto made = make({.deaths = 2, .time = 10s});
  made.note_death(sender(1), now);
  made.note_death(sender(1), now + 11s);
  EXPECT_FALSE(made.holds(sender(1), now + 11s));
  made.note_death(sender(1), now + 20s);
  EXPECT_TRUE(made.holds(sender(1), now + 30s));
  EXPECT_FALSE(made.holds(sender(1), now + 31s));
}

TEST_F(quarantine_of, a_flood_of_senders_takes_bounded_memory_and_few_lines_and_the_latest_are_kept) {
  auto made = make({.deaths = 1, .time = 1min});
  constexpr unsigned senders = 20'000;
  const auto began = std::chrono::steady_clock::now();
  for (unsigned number = 0; number < senders; ++number) made.note_death(sender(number), now + number * 1us);
  // And one each ten seconds, if the machine is that slow.
  const auto most_lines = [began] {
    return detail::pool_log::at_once +
           static_cast<std::size_t>((std::chrono::steady_clock::now() - began) / detail::log_limit::pause);
  };
  EXPECT_GE(texts.size(), detail::pool_log::at_once);
  EXPECT_LE(texts.size(), most_lines());
  unsigned remembered = 0;
  unsigned dropped = 0;
  for (unsigned number = 0; number < senders; ++number) {
    remembered += made.holds(sender(number), now) ? 1 : 0;
    dropped += shared.header().quarantined.holds(sender(number)) ? 1 : 0;
  }
  EXPECT_TRUE(made.holds(sender(senders - 2), now));
  EXPECT_EQ(remembered, detail::quarantine::most_remembered);
  EXPECT_GT(dropped, 200u);
  EXPECT_LE(dropped, 256u);
  made.note_death(address::parse("192.0.2.1:7"), now + 1s);
  EXPECT_TRUE(workers_drop("192.0.2.1:7"));
  log.write_all();
  ASSERT_GT(texts.size(), detail::pool_log::at_once);
  EXPECT_LE(texts.size(), most_lines() + 1);
  EXPECT_THAT(texts.back(), HasSubstr(" like it"));
  std::size_t told = texts.size();
  for (const std::string& each : texts) {
    const auto at = each.find("; and ");
    if (at != std::string::npos) told += std::stoul(each.substr(at + 6));
  }
  EXPECT_EQ(told, senders + 1u);
}

}  // namespace
