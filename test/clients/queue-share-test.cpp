// client_share: while a queue is behind, clients have equal shares of what is served. Workers, clients and the time are
// simulated here, so that nothing depends on the machine.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <cstdint>
#include <deque>
#include <functional>
#include <new>
#include <optional>
#include <queue>
#include <random>
#include <stdexcept>
#include <vector>

#include "clients/queue_share.hpp"
#include "support/process.hpp"
#include "sys/shared_line.hpp"

using namespace udppump;
using namespace std::chrono_literals;

namespace {

using detail::queue_note;
using detail::queue_share;
using time_point = std::chrono::steady_clock::time_point;
using std::chrono::nanoseconds;

constexpr time_point start{std::chrono::hours{100}};
/// As the kernel counts a small one.
constexpr std::size_t datagram_size = 768;

address host(std::uint32_t number) {
  sockaddr_in raw{};
  raw.sin_family = AF_INET;
  raw.sin_port = htons(5000);
  raw.sin_addr.s_addr = htonl(0x0a00'0000 + number);
  return address::from_sockaddr(reinterpret_cast<const sockaddr*>(&raw), sizeof raw);
}

/// Who sends, and how much: requests a second at random times, between two times since the start.
struct sender {
  double rate;
  std::function<std::uint32_t()> source;
  nanoseconds from{0}, until{std::chrono::hours{1}};
};

sender client(std::uint32_t number, double rate) {
  return {rate, [number] { return number; }};
}

struct outcome {
  std::uint64_t sent = 0, served = 0, dropped = 0, overflowed = 0, late = 0;
  /// Of the sent.
  double in_time() const { return static_cast<double>(served - late) / static_cast<double>(sent); }
};

struct service {
  std::size_t workers = 4;
  nanoseconds mean = 1ms;
  /// Datagrams that the receive buffer holds.
  std::size_t room = 277;
  bool kernel_tells_fill = true;
  nanoseconds deadline = 50ms;

  double capacity() const { return static_cast<double>(workers) / std::chrono::duration<double>{mean}.count(); }
};

/// What `senders` get from workers that sleep for an exponential time for each request, and that take 2 us to drop one.
/// By sender; what is sent in `warm_up` is not counted.
std::vector<outcome> simulate(const service& how, const std::vector<sender>& senders, nanoseconds length,
                              nanoseconds warm_up = 200ms, const client_share& shares = client_share::equal()) {
  std::mt19937_64 random{12345};
  const auto drawn = [&](nanoseconds mean) {
    const double uniform = (static_cast<double>(random() >> 11) + 0.5) * 0x1p-53;
    return nanoseconds{static_cast<std::int64_t>(-std::log(uniform) * static_cast<double>(mean.count()))};
  };
  struct datagram {
    std::size_t sender;
    std::uint32_t source;
    nanoseconds came;
  };
  struct event {
    nanoseconds at;
    std::size_t sender;  // that many senders: a worker is free
    bool operator<(const event& other) const { return at > other.at; }
  };
  queue_note note{};
  queue_share share{shares, &note};
  std::vector<outcome> outcomes(senders.size());
  std::deque<datagram> queue;
  std::priority_queue<event> events;
  std::size_t idle = how.workers;
  for (std::size_t each = 0; each < senders.size(); ++each) events.push({senders[each].from, each});
  while (!events.empty() && events.top().at < length) {
    const event now = events.top();
    events.pop();
    if (now.sender < senders.size()) {
      const sender& by = senders[now.sender];
      const auto next = now.at + drawn(nanoseconds{static_cast<std::int64_t>(1e9 / by.rate)});
      if (next < by.until) events.push({next, now.sender});
      if (now.at >= warm_up) ++outcomes[now.sender].sent;
      if (queue.size() >= how.room) {
        if (now.at >= warm_up) ++outcomes[now.sender].overflowed;
        continue;
      }
      queue.push_back({now.sender, by.source(), now.at});
      if (idle == 0) continue;
      --idle;
      share.found_empty(start + now.at);
    }
    // A worker takes until one is served.
    auto at = now.at;
    bool serves = false;
    while (!serves && !queue.empty()) {
      const datagram one = queue.front();
      queue.pop_front();
      serves = !share || share.admits(host(one.source), start + at, 1, [&]() -> std::optional<queue_share::fill> {
        if (!how.kernel_tells_fill) return {};
        return queue_share::fill{queue.size() * datagram_size, how.room * datagram_size};
      });
      at += serves ? drawn(how.mean) : nanoseconds{2us};
      if (one.came < warm_up) continue;
      outcome& its = outcomes[one.sender];
      ++(serves ? its.served : its.dropped);
      if (serves && at - one.came > how.deadline) ++its.late;
      // Others work meanwhile, and more may come.
      if (!serves && !events.empty() && events.top().at <= at) break;
    }
    if (serves || !queue.empty()) {
      events.push({at, senders.size()});
    } else {
      share.found_empty(start + at);
      ++idle;
    }
  }
  return outcomes;
}

std::uint64_t served_of(const std::vector<outcome>& all) {
  std::uint64_t sum = 0;
  for (const outcome& each : all) sum += each.served;
  return sum;
}

/// 20 that ask for `load` of what can be done together.
std::vector<sender> honest_ones(const service& how, double load) {
  std::vector<sender> all;
  for (std::uint32_t number = 1; number <= 20; ++number) all.push_back(client(number, load * how.capacity() / 20));
  return all;
}

double in_time(const std::vector<outcome>& all, std::size_t first, std::size_t last) {
  outcome sum;
  for (std::size_t each = first; each < last; ++each) {
    sum.sent += all[each].sent, sum.served += all[each].served, sum.late += all[each].late;
  }
  return sum.in_time();
}

TEST(queue_share, a_client_that_floods_takes_nothing_from_those_that_do_not) {
  for (const auto& how : {service{}, service{.workers = 1}, service{.workers = 8, .room = 5000},
                          service{.workers = 8, .mean = 50ms, .deadline = 1s}, service{.workers = 2, .mean = 100us},
                          service{.kernel_tells_fill = false}}) {
    auto senders = honest_ones(how, 0.3);
    senders.push_back(client(1000, 10 * how.capacity()));
    const auto length = 200ms + 2000 * how.mean;
    const auto all = simulate(how, senders, length);
    const double spent = std::chrono::duration<double>{length - 200ms}.count();
    EXPECT_GE(in_time(all, 0, 20), 0.97) << how.workers << ' ' << how.mean.count();
    EXPECT_GE(static_cast<double>(served_of(all)) / spent, 0.5 * how.capacity())
        << how.workers << ' ' << how.mean.count() << ": what the honest ones leave is the flooder's";
  }
}

TEST(queue_share, nobody_loses_anything_while_the_workers_keep_up) {
  const service how{.workers = 8, .room = 5000};
  const auto all = simulate(how, honest_ones(how, 0.9), 5s);
  EXPECT_GE(in_time(all, 0, 20), 0.999);
}

TEST(queue_share, clients_that_all_send_too_much_get_equal_parts) {
  const service how{.room = 5000};
  std::vector<sender> senders;
  for (std::uint32_t number = 1; number <= 10; ++number)
    senders.push_back(client(number, 0.1 * number * how.capacity()));
  const auto all = simulate(how, senders, 5s);
  const double part = static_cast<double>(served_of(all)) / 10;
  for (const outcome& each : all) EXPECT_NEAR(static_cast<double>(each.served), part, 0.25 * part);
  EXPECT_GE(static_cast<double>(served_of(all)), 0.6 * 4.8 * how.capacity());
  EXPECT_GE(in_time(all, 0, 10) * 5.5, 0.6) << "and in time, as the queue stays short";
}

TEST(queue_share, when_the_flood_is_over_all_is_served_again) {
  const service how{.room = 5000};
  std::vector<sender> senders{client(1, 10 * how.capacity()), client(2, 0.5 * how.capacity())};
  senders[0].until = 300ms;
  senders[1].from = 500ms;
  const auto all = simulate(how, senders, 1s, 500ms);
  EXPECT_EQ(all[1].dropped, 0u);
  EXPECT_GT(all[1].served, 900u);
}

TEST(queue_share, forged_sources_that_do_not_repeat_cost_the_honest_ones_no_more_than_without) {
  const service how{.room = 277};
  auto senders = honest_ones(how, 0.3);
  senders.push_back({10 * how.capacity(), [next = 100'000u]() mutable { return next++; }});
  const auto with = simulate(how, senders, 5s, 1s), without = simulate(how, senders, 5s, 1s, {});
  const auto honest = [](const std::vector<outcome>& all) {
    std::uint64_t sum = 0;
    for (std::size_t each = 0; each < 20; ++each) sum += all[each].served;
    return static_cast<double>(sum);
  };
  EXPECT_GE(honest(with), 0.9 * honest(without));
}

/// A queue that is behind: time goes on, and nobody finds it empty.
struct behind {
  explicit behind(const client_share& shares, queue_note* note) : share{shares, note} {}
  bool asks(std::uint32_t from, nanoseconds at) {
    return share.admits(host(from), start + at, 1, [this] {
      return std::optional{queue_share::fill{waiting, 1'000'000}};
    });
  }
  std::size_t waiting = 900'000;
  queue_share share;
};

TEST(queue_share, a_burst_of_some_milliseconds_is_served_whole) {
  queue_note note{};
  behind one{client_share::equal(), &note};
  for (int each = 0; each < 2250; ++each) ASSERT_TRUE(one.asks(1, each * 4us)) << each;
}

TEST(queue_share, a_queue_that_the_kernel_calls_empty_is_not_behind) {
  queue_note note{};
  behind one{client_share::equal(), &note};
  one.waiting = 0;
  for (int each = 0; each < 9000; ++each) ASSERT_TRUE(one.asks(1, each * 1ms)) << each;
}

TEST(queue_share, whoever_has_had_too_much_is_dropped_and_another_is_not) {
  queue_note note{};
  behind one{client_share::equal(), &note};
  bool is_dropped = false;
  nanoseconds at{0};
  for (; !is_dropped && at < 1s; at += 100us) is_dropped = !one.asks(1, at);
  ASSERT_TRUE(is_dropped);
  EXPECT_GT(at, 10ms);
  EXPECT_TRUE(one.asks(2, at));
}

TEST(queue_share, each_socket_has_shares_of_its_own) {
  const auto shares = client_share::equal();
  queue_note note{}, other_note{};
  behind one{shares, &note}, other{shares, &other_note};
  nanoseconds at{0};
  for (bool any = true; any && at < 1s;) {
    at += 100us;
    const bool first = one.asks(1, at), second = other.asks(2, at);
    any = first || second;
  }
  ASSERT_LT(at, 1s);
  EXPECT_FALSE(one.asks(1, at));
  EXPECT_FALSE(other.asks(2, at));
  EXPECT_TRUE(one.asks(2, at));
  EXPECT_TRUE(other.asks(1, at));
}

TEST(queue_share, a_queue_that_is_found_empty_now_and_then_is_not_behind) {
  queue_note note{};
  behind one{client_share::equal(), &note};
  for (int ms = 0; ms < 100; ++ms) {
    if (ms % 6 == 0) one.share.found_empty(start + ms * 1ms);
    for (int each = 0; each < 50; ++each) ASSERT_TRUE(one.asks(1, ms * 1ms)) << ms;
  }
}

TEST(queue_share, a_backlog_that_is_worked_off_is_served_whole) {
  queue_note note{};
  behind one{client_share::equal(), &note};
  for (int us = 0; us < 500'000; us += 100) {
    one.waiting = 950'000 - static_cast<std::size_t>(us);
    ASSERT_TRUE(one.asks(static_cast<std::uint32_t>(us / 100 % 20), us * 1us)) << us;
  }
}

TEST(queue_share, when_no_rate_helps_all_is_served_for_some_seconds) {
  queue_note note{};
  behind one{client_share::equal(), &note};
  int dropped = 0;
  std::uint32_t forged = 1000;
  for (int ms = 0; ms < 4000; ++ms) {
    for (int each = 0; each < 5; ++each) static_cast<void>(one.asks(forged++, ms * 1ms));
    if (ms % 10 == 0 && !one.asks(1, ms * 1ms)) ++dropped;
  }
  EXPECT_LE(dropped, 10) << "of 400";
}

TEST(queue_share, what_was_learned_is_forgotten_after_a_pause) {
  queue_note note{};
  behind one{client_share::equal(), &note};
  nanoseconds at{0};
  while (one.asks(1, at) && at < 1s) at += 100us;
  ASSERT_LT(at, 1s);
  one.share.found_empty(start + at + 1us);
  for (int each = 0; each < 1000; ++each) ASSERT_TRUE(one.asks(1, at + 2s + each * 1us)) << each;
}

TEST(queue_share, forked_workers_hold_a_client_to_it_together) {
  const auto line = detail::make_shared_line();
  queue_note* const note = new (line.get()) queue_note{};
  behind one{client_share::equal(), note};
  nanoseconds at{0};
  while (one.asks(1, at) && at < 1s) at += 100us;
  ASSERT_LT(at, 1s);
  const pid_t child = fork_when_others_sleep();
  if (child == 0) {
    const bool is_known = !one.asks(1, at);
    while (one.asks(2, at)) continue;
    ::_exit(is_known ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_FALSE(one.asks(2, at)) << "what the child took is counted here";
}

TEST(queue_share, what_another_process_writes_does_no_more_than_drop_or_serve) {
  std::mt19937_64 random{1};
  queue_note note{};
  behind one{client_share::equal(), &note};
  for (int each = 0; each < 100'000; ++each) {
    for (auto* word :
         {&note.empty_at, &note.looked_at, &note.mark, &note.steps, &note.rate, &note.turns, &note.rests_until}) {
      if (random() % 8 == 0) word->store(random() >> random() % 64);
    }
    static_cast<void>(one.asks(1, each * 1us));
  }
}

TEST(queue_share, who_has_no_internet_address_has_no_share) {
  queue_note note{};
  behind one{client_share::equal(), &note};
  for (int each = 0; each < 10'000; ++each) {
    ASSERT_TRUE(one.share.admits(address::parse("unix:@client"), start + each * 100us, 1, [] {
      return std::optional{queue_share::fill{900, 1000}};
    }));
  }
}

TEST(client_share, without_shares_there_are_none_and_prefixes_are_checked) {
  EXPECT_FALSE(client_share{});
  EXPECT_TRUE(client_share::equal());
  for (const client_prefixes& wrong : {client_prefixes{.ipv4 = 0}, client_prefixes{.ipv4 = 33},
                                       client_prefixes{.ipv6 = 0}, client_prefixes{.ipv6 = 129}}) {
    EXPECT_THROW(static_cast<void>(client_share::equal(wrong)), std::invalid_argument);
  }
}

/// Workers read the clock, and then ask: another one may have looked at the queue meanwhile.
TEST(queue_share, a_worker_whose_clock_is_a_little_older_gives_nobody_more) {
  queue_note note{};
  const client_share shares = client_share::equal();
  queue_share first{shares, &note}, second{shares, &note};
  std::size_t waiting = 100'000;
  const auto fill = [&]() -> std::optional<queue_share::fill> { return queue_share::fill{waiting, 1'000'000}; };
  auto now = start;
  // The queue grows until the rate is down to a few thousand a second, and then becomes shorter: the rate stays.
  for (int step = 0; step < 60; ++step) {
    now += 5ms;
    waiting += step < 40 ? 20'000 : 0;
    static_cast<void>(first.admits(host(2), now, 1, fill));
    const std::uint64_t rate = note.rate.load() >> 20;
    if (rate != 0 && rate < 4000) break;
  }
  const std::uint64_t rate = note.rate.load() >> 20;
  ASSERT_GT(rate, 100u);
  ASSERT_LT(rate, 4000u);
  int admitted = 0;
  for (int step = 0; step < 200; ++step) {
    now += 1ms;
    waiting -= 100;
    static_cast<void>(first.admits(host(2), now, 1, fill));
    for (int asked = 0; asked < 20; ++asked) {
      admitted += second.admits(host(1), now - 2us, 1, fill) ? 1 : 0;
      admitted += first.admits(host(1), now, 1, fill) ? 1 : 0;
    }
  }
  EXPECT_LE(admitted, 16 + static_cast<int>(rate) / 5 + 1) << "in 200 ms, at " << rate << " a second";
}

}  // namespace
