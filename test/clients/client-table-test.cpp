// client_limit: what a client may send, and what others cannot change about it.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <limits>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "clients/client_key.hpp"
#include "support/process.hpp"
#include "udppump/client_limit.hpp"

using namespace udppump;
using namespace std::chrono_literals;

namespace {

using time_point = std::chrono::steady_clock::time_point;

address ipv4(std::uint32_t host) {
  sockaddr_in raw{};
  raw.sin_family = AF_INET;
  raw.sin_port = htons(5000);
  raw.sin_addr.s_addr = htonl(host);
  return address::from_sockaddr(reinterpret_cast<const sockaddr*>(&raw), sizeof raw);
}
address at(const char* text) { return address::parse(text); }

/// How many of `tries` are admitted.
std::size_t admitted(const client_limit& limit, const address& from, time_point now, std::size_t tries) {
  std::size_t count = 0;
  for (; tries > 0; --tries) count += limit.admits(from, now) ? 1 : 0;
  return count;
}

std::string refusal(const client_rate& rule) {
  try {
    static_cast<void>(client_limit{rule});
  } catch (const std::invalid_argument& refused) {
    return refused.what();
  }
  return "not refused";
}

const auto client = at("192.0.2.1:1000");
constexpr time_point start{std::chrono::hours{100}};

TEST(client_table, a_silent_client_may_send_a_burst_and_then_no_more) {
  const client_limit limit{{.rate = 10, .burst = 5}};
  EXPECT_EQ(admitted(limit, client, start, 20), 5u);
}

TEST(client_table, without_a_burst_it_is_what_a_second_gives_and_one_at_least) {
  EXPECT_EQ(admitted(client_rate{.rate = 30}, client, start, 100), 30u);
  EXPECT_EQ(admitted(client_rate{.rate = 0.001}, client, start, 100), 1u);
}

TEST(client_table, the_rate_gives_back_what_was_used_and_never_more_than_the_burst) {
  const client_limit limit{{.rate = 10, .burst = 5}};
  ASSERT_EQ(admitted(limit, client, start, 20), 5u);
  EXPECT_EQ(admitted(limit, client, start + 99ms, 20), 0u);
  EXPECT_EQ(admitted(limit, client, start + 101ms, 20), 1u);
  EXPECT_EQ(admitted(limit, client, start + 402ms, 20), 3u);
  EXPECT_EQ(admitted(limit, client, start + 1h, 20), 5u);
}

TEST(client_table, what_is_refused_is_not_counted) {
  const client_limit limit{{.rate = 10, .burst = 1}};
  ASSERT_TRUE(limit.admits(client, start));
  for (int ms = 1; ms < 100; ++ms) ASSERT_FALSE(limit.admits(client, start + std::chrono::milliseconds{ms})) << ms;
  EXPECT_TRUE(limit.admits(client, start + 101ms));
}

TEST(client_table, in_the_long_run_a_client_that_asks_always_gets_the_rate) {
  for (const double rate : {1.0, 777.0, 40'000.0}) {
    const client_limit limit{{.rate = rate, .burst = 3}};
    const auto step = std::chrono::nanoseconds{static_cast<std::int64_t>(1e9 / rate / 10)};
    std::size_t count = 0;
    for (int time = 0; time < 20'000; ++time) count += limit.admits(client, start + time * step) ? 1 : 0;
    EXPECT_NEAR(static_cast<double>(count), 2000, 2000 * 0.01 + 3) << rate;
  }
}

TEST(client_table, a_time_that_is_a_little_ago_costs_no_more_than_that) {
  const client_limit limit{{.rate = 1000, .burst = 4}};
  EXPECT_TRUE(limit.admits(client, start));
  EXPECT_EQ(admitted(limit, client, start - 100us, 20), 2u);
  EXPECT_EQ(admitted(limit, client, start, 20), 1u);
  EXPECT_EQ(admitted(limit, client, start + 1s, 20), 4u);
}

TEST(client_table, a_worker_that_was_kept_from_going_on_gives_nobody_a_new_burst) {
  const struct {
    client_rate rule;
    std::chrono::nanoseconds late;
    std::size_t at_once;
  } all[] = {
      {{.rate = 1000, .burst = 4}, 3s, 1},         {{.rate = 10'000, .burst = 1000}, 20ms, 1},
      {{.rate = 10'000, .burst = 1000}, 30min, 1}, {{.rate = 1, .burst = 1}, 1us, 64},
      {{.rate = 100, .burst = 10}, 1ms, 64},
  };
  for (const auto& each : all) {
    const client_limit limit{each.rule};
    std::size_t used = 0;
    while (limit.admits(client, start, each.at_once)) ++used;
    EXPECT_GE(used, 1u);
    EXPECT_FALSE(limit.admits(client, start - each.late, each.at_once)) << each.rule.rate;
    EXPECT_FALSE(limit.admits(client, start, each.at_once)) << each.rule.rate << ": what it owed is forgotten";
  }
}

TEST(client_table, years_of_silence_are_no_debt) {
  const client_limit limit{{.rate = 1, .burst = 10}};
  for (int days = 0; days < 1000; ++days) {
    EXPECT_EQ(admitted(limit, client, start + days * 24h, 20), 10u) << days;
  }
}

/// What a table knows of time comes round after this long.
constexpr auto turn = std::chrono::nanoseconds{1LL << 50};

TEST(client_table, when_its_times_come_round_nobody_who_was_silent_owes_anything) {
  for (const int turns : {1, 2, 3, 28, 280, 2800}) {  // to a hundred years
    const client_limit limit{{.rate = 10, .burst = 5}};
    ASSERT_EQ(admitted(limit, client, start, 20), 5u);
    EXPECT_EQ(admitted(limit, client, start + turns * turn, 20), 5u) << turns;
  }
}

TEST(client_table, when_its_times_come_round_it_does_not_matter_when_others_sent) {
  for (const auto pause : {1h, 24h, 24h * 5, 24h * 7}) {
    const client_limit limit{{.rate = 10, .burst = 5}};
    ASSERT_EQ(admitted(limit, client, start, 20), 5u);
    for (auto now = start; now < start + turn; now += pause) ASSERT_TRUE(limit.admits(at("192.0.2.2:1"), now));
    EXPECT_EQ(admitted(limit, client, start + turn, 20), 5u) << pause.count();
  }
}

TEST(client_table, who_owes_for_a_day_owes_it_whenever_others_send) {
  for (auto others = 1h; others < 72h; others += 1h) {
    const client_limit limit{{.rate = 0.001, .burst = 80}};  // what is used comes back at 3.6 an hour
    ASSERT_TRUE(limit.admits(at("192.0.2.2:1"), start));
    ASSERT_EQ(admitted(limit, client, start + others - 1h, 100), 80u);
    ASSERT_TRUE(limit.admits(at("192.0.2.2:1"), start + others));
    EXPECT_EQ(admitted(limit, client, start + others, 100), 3u) << others.count();
  }
}

TEST(client_table, ports_do_not_tell_clients_apart_and_hosts_do) {
  const client_limit limit{{.rate = 1, .burst = 2}};
  EXPECT_TRUE(limit.admits(at("192.0.2.1:1"), start));
  EXPECT_TRUE(limit.admits(at("192.0.2.1:2"), start));
  EXPECT_FALSE(limit.admits(at("192.0.2.1:3"), start));
  EXPECT_TRUE(limit.admits(at("192.0.2.2:1"), start));
  EXPECT_TRUE(limit.admits(at("[2001:db8::1]:1"), start));
}

TEST(client_table, a_mapped_address_is_the_ipv4_one) {
  const client_limit limit{{.rate = 1, .burst = 1}};
  EXPECT_TRUE(limit.admits(at("192.0.2.1:1"), start));
  EXPECT_FALSE(limit.admits(at("[::ffff:192.0.2.1]:1"), start));
  EXPECT_TRUE(limit.admits(at("[::ffff:192.0.2.2]:1"), start));
}

TEST(client_table, prefixes_cut_the_address) {
  struct {
    const char *one, *other;
    unsigned ipv4_prefix, ipv6_prefix;
    bool same;
  } const cases[] = {
      {"192.0.2.1:1", "192.0.2.2:1", 32, 56, false},
      {"192.0.2.1:1", "192.0.2.2:1", 24, 56, true},
      {"192.0.2.1:1", "192.0.3.1:1", 24, 56, false},
      {"192.0.2.1:1", "192.0.3.1:1", 23, 56, true},
      {"127.0.0.1:1", "128.0.0.1:1", 1, 56, false},
      {"1.0.0.1:1", "126.0.0.1:1", 1, 56, true},
      {"[2001:db8:0:1::1]:1", "[2001:db8:0:1::2]:1", 32, 128, false},
      {"[2001:db8:0:1::1]:1", "[2001:db8:0:1::2]:1", 32, 64, true},
      {"[2001:db8:0:1::1]:1", "[2001:db8:0:2::1]:1", 32, 64, false},
      {"[2001:db8:0:1::1]:1", "[2001:db8:0:2::1]:1", 32, 56, true},
      {"[2001:db8:0:1::1]:1", "[2001:db8:0:101::1]:1", 32, 56, false},
      {"[2001:db8::1:0:0:1]:1", "[2001:db8::1:0:0:2]:1", 32, 96, true},
      {"[2001:db8::1:0:0:1]:1", "[2001:db8::2:0:0:1]:1", 32, 96, false},
      {"[2001:db8::1:1:0:1]:1", "[2001:db8::1:2:0:1]:1", 32, 96, false},
  };
  for (const auto& each : cases) {
    const client_limit limit{{.rate = 1, .burst = 1, .ipv4_prefix = each.ipv4_prefix, .ipv6_prefix = each.ipv6_prefix}};
    ASSERT_TRUE(limit.admits(at(each.one), start));
    EXPECT_EQ(!limit.admits(at(each.other), start), each.same)
        << each.one << ' ' << each.other << '/' << each.ipv4_prefix << '/' << each.ipv6_prefix;
  }
}

TEST(client_table, hosts_of_one_link_are_told_apart_whatever_the_prefix) {
  const client_limit limit{{.rate = 1, .burst = 1, .ipv6_prefix = 8}};
  const auto link_local = [](std::uint8_t last) {
    sockaddr_in6 raw{};
    raw.sin6_family = AF_INET6;
    raw.sin6_addr.s6_addr[0] = 0xfe, raw.sin6_addr.s6_addr[1] = 0x80, raw.sin6_addr.s6_addr[15] = last;
    raw.sin6_scope_id = 1;
    return address::from_sockaddr(reinterpret_cast<const sockaddr*>(&raw), sizeof raw);
  };
  EXPECT_TRUE(limit.admits(link_local(1), start));
  EXPECT_TRUE(limit.admits(link_local(2), start));
  EXPECT_FALSE(limit.admits(link_local(1), start));
}

TEST(client_table, who_has_no_internet_address_has_no_limit) {
  const client_limit limit{{.rate = 1, .burst = 1}};
  for (const address& from : {address{}, at("unix:/tmp/client"), at("unix:@client")}) {
    EXPECT_EQ(admitted(limit, from, start, 100), 100u) << from;
  }
}

TEST(client_table, without_a_rule_there_is_no_limit) {
  const client_limit none;
  EXPECT_FALSE(none);
  EXPECT_EQ(admitted(none, client, start, 1000), 1000u);
  EXPECT_TRUE(client_limit{client_rate{.rate = 1}});
}

TEST(client_table, joined_datagrams_are_admitted_together_and_all_count) {
  const client_limit limit{{.rate = 10, .burst = 5}};
  EXPECT_TRUE(limit.admits(client, start, 64));
  EXPECT_FALSE(limit.admits(client, start));
  // 64 less a burst of 5: 59 tenths of a second are owed until one is free.
  EXPECT_FALSE(limit.admits(client, start + 5990ms));
  EXPECT_TRUE(limit.admits(client, start + 6010ms));
}

TEST(client_table, a_million_forged_sources_leave_the_honest_ones_what_they_have) {
  const client_limit limit{{.rate = 100, .burst = 10}};
  std::uint64_t asked = 0, lost = 0, flood = 0;
  const auto flooder = at("198.51.100.1:1");
  for (std::uint32_t source = 0; source < 1'000'000; ++source) {
    const auto now = start + source * 1us;  // a second
    static_cast<void>(limit.admits(ipv4(0x0a00'0000 + source * 7), now));
    if (source % 10 == 0) flood += limit.admits(flooder, now) ? 1 : 0;
    if (source % 1000 == 0) {  // each of 20 sends 50 a second
      ++asked;
      lost += limit.admits(ipv4(0xc000'0201 + source / 1000 % 20), now) ? 0 : 1;
    }
  }
  // Whether one is taken for another depends on the key, which is random: once in many thousand runs for all of these.
  EXPECT_LE(lost, asked / 100);
  // Whoever owes most is forgotten last.
  EXPECT_LT(flood, 2 * 110u);
}

TEST(client_table, a_million_clients_that_send_seldom_lose_nothing) {
  const client_limit limit{{.rate = 1, .burst = 1}};
  std::uint64_t lost = 0;
  for (std::uint32_t source = 0; source < 1'000'000; ++source) {
    lost += limit.admits(ipv4(0x0a00'0000 + source), start + source * 1us) ? 0 : 1;
  }
  // 8 neighbours in a row, 2^20 tags: about eight in a million are taken for another.
  EXPECT_LE(lost, 100u);
}

TEST(client_table, copies_and_forked_processes_share_one_table) {
  const client_limit limit{{.rate = 0.01, .burst = 100}};
  const client_limit copy = limit;
  ASSERT_EQ(admitted(copy, client, start, 40), 40u);
  const pid_t child = fork_when_others_sleep();
  if (child == 0) ::_exit(admitted(limit, client, start, 30) == 30 ? 0 : 1);
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(admitted(limit, client, start, 100), 30u);
}

TEST(client_table, processes_at_once_admit_no_more_together_and_those_killed_leave_no_lock) {
  const client_limit limit{{.rate = 0.01, .burst = 1'000'000 / 2000}};
  std::vector<pid_t> children;
  for (int worker = 0; worker < 4; ++worker) {
    const pid_t child = fork_when_others_sleep();
    if (child == 0) {
      for (;;) static_cast<void>(limit.admits(at("203.0.113.1:1"), std::chrono::steady_clock::now()));
    }
    children.push_back(child);
  }
  const auto until = std::chrono::steady_clock::now() + 20s;
  while (limit.admits(at("203.0.113.1:1"), std::chrono::steady_clock::now())) {
    ASSERT_LT(std::chrono::steady_clock::now(), until);
  }
  for (const pid_t child : children) ::kill(child, SIGKILL);
  for (const pid_t child : children) ::waitpid(child, nullptr, 0);
  EXPECT_FALSE(limit.admits(at("203.0.113.1:1"), std::chrono::steady_clock::now()));
  EXPECT_EQ(admitted(limit, client, std::chrono::steady_clock::now(), 1000), 500u);
}

TEST(client_table, threads_at_once_admit_a_burst_together_and_no_more) {
  const client_limit limit{{.rate = 0.01, .burst = 500}};
  ASSERT_TRUE(limit.admits(client, start));  // several that meet a new client at once may each make an entry
  std::atomic<std::size_t> count{1};
  std::vector<std::thread> threads;
  for (int each = 0; each < 4; ++each) threads.emplace_back([&] { count += admitted(limit, client, start, 1000); });
  for (std::thread& each : threads) each.join();
  // In a row that others change all the time, a datagram may pass after some tries.
  EXPECT_GE(count, 500u);
  EXPECT_LE(count, 550u);
}

TEST(client_table, who_meets_another_at_the_same_entry_tries_again) {
  constexpr std::size_t burst = 500'000;
  const client_limit limit{{.rate = 10, .burst = burst}};
  ASSERT_TRUE(limit.admits(client, start));
  std::atomic<std::size_t> count{1}, ready{0};
  std::vector<std::thread> threads;
  for (int each = 0; each < 2; ++each) {
    threads.emplace_back([&] {
      for (++ready; ready < 2;) continue;
      count += admitted(limit, client, start, burst);
    });
  }
  for (std::thread& each : threads) each.join();
  // One that gave up at once would pass uncounted, thousands of times.
  EXPECT_GE(count, burst);
  EXPECT_LE(count, burst + 50);
}

TEST(client_table, each_table_has_a_key_of_its_own) {
  // Where each client is put cannot be predicted: two tables that have the same clients forget others.
  const auto kept = [] {
    const client_limit limit{{.rate = 1, .burst = 1}};
    for (std::uint32_t source = 0; source < 60'000; ++source) static_cast<void>(limit.admits(ipv4(source), start));
    std::vector<bool> known;
    for (std::uint32_t source = 0; source < 1000; ++source) known.push_back(!limit.admits(ipv4(source), start));
    return known;
  };
  EXPECT_NE(kept(), kept());
}

TEST(client_table, what_cannot_be_is_refused_with_its_reason) {
  EXPECT_NE(refusal({}).find("rate is 0"), std::string::npos) << refusal({});
  for (const double rate : {-1.0, 0.0001, 2e6, std::numeric_limits<double>::quiet_NaN()}) {
    EXPECT_NE(refusal({.rate = rate}).find("give 0.001 to 1,000,000"), std::string::npos) << rate;
  }
  EXPECT_NE(refusal({.rate = 1, .burst = 1'000'001}).find("burst"), std::string::npos);
  EXPECT_NE(refusal({.rate = 0.01, .burst = 1000}).find("in a day"), std::string::npos);
  for (const unsigned prefix : {0u, 33u}) {
    EXPECT_NE(refusal({.rate = 1, .ipv4_prefix = prefix}).find("ipv4_prefix"), std::string::npos) << prefix;
  }
  for (const unsigned prefix : {0u, 129u}) {
    EXPECT_NE(refusal({.rate = 1, .ipv6_prefix = prefix}).find("ipv6_prefix"), std::string::npos) << prefix;
  }
  for (const client_rate& rule : {client_rate{.rate = 0.001}, client_rate{.rate = 1e6, .burst = 1'000'000},
                                  client_rate{.rate = 1, .burst = 86'400, .ipv4_prefix = 1, .ipv6_prefix = 128}}) {
    EXPECT_EQ(refusal(rule), "not refused");
  }
}

TEST(client_table, whoever_was_asked_about_before_each_client_has_its_own_hash) {
  const detail::client_key key{"test", {.ipv4 = 32, .ipv6 = 128}};
  const std::vector<address> clients{at("192.0.2.1:1"),     at("192.0.2.2:1"),       at("[::c000:201]:1"),
                                     at("[c000:201::]:1"),  at("[c000:201::1]:1"),   at("[2001:db8::1]:1"),
                                     at("[2001:db8::2]:1"), at("[2001:db8:1::1]:1"), at("[2001:db8:1::2]:1")};
  std::set<std::uint64_t> hashes;
  for (const address& before : clients) {
    for (const address& each : clients) {
      for (const std::uint64_t realm : {std::uint64_t{0}, std::uint64_t{1}}) {
        detail::last_client last;
        static_cast<void>(key.hash_of(before, last));
        const auto hash = key.hash_of(each, last, realm);
        detail::last_client none;
        EXPECT_EQ(hash, key.hash_of(each, none, realm)) << each.to_string() << " after " << before.to_string();
        EXPECT_EQ(hash, key.hash_of(each, last, realm)) << each.to_string() << " once more";
        hashes.insert(hash.value());
      }
    }
  }
  EXPECT_EQ(hashes.size(), 2 * clients.size());
}

}  // namespace
