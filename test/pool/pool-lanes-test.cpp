// Lanes that a pool makes and serves: what each worker takes, and what becomes of them over reloads, take-overs and
// attacks.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "pool/lane_balance.hpp"
#include "pool/lane_plan.hpp"
#include "pool/pool_sockets.hpp"
#include "pool/socket_check.hpp"
#include "support/asking_client.hpp"
#include "support/pool_process.hpp"
#include "support/steady_load.hpp"
#include "support/waiters.hpp"

using namespace udppump;
using namespace std::chrono_literals;
using testing::HasSubstr;

namespace {

/// Takes a datagram if its first byte, taken with `mask`, is `value`.
payload_match first_byte(std::uint32_t value, std::uint32_t mask = 0xff) {
  return payload_match::bpf({BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0), BPF_STMT(BPF_ALU | BPF_AND | BPF_K, mask),
                             BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1), BPF_STMT(BPF_RET | BPF_K, 1),
                             BPF_STMT(BPF_RET | BPF_K, 0)});
}

/// What begins with "q" is quick.
std::vector<lane> quick_and_rest(std::size_t reserve = 0) {
  return {{.name = "quick", .match = first_byte('q'), .reserve = reserve}, {.name = "rest"}};
}

/// The numbers of a steady_load by their lowest bit.
std::vector<lane> odd_and_even() {
  return {{.name = "odd", .match = first_byte(1, 1), .reserve = 1}, {.name = "even"}};
}

/// Answers an odd number if it comes by the first lane, and an even one if it comes by the second.
void answer_in_its_lane(datagram& received) {
  std::this_thread::sleep_for(500us);
  const bool is_odd = (static_cast<unsigned char>(received.text()[0]) & 1) != 0;
  if (received.lane() == (is_odd ? 0u : 1u)) received.reply(received.payload);
}

/// Which worker handles what, for all processes to see.
struct served_lanes {
  std::atomic<std::uint32_t> workers[2] = {};  // bits, by lane
  std::atomic<unsigned> long_ones{0};
};

std::string refusal_of(pool_options options) {
  if (options.bind.empty()) options.bind = {"127.0.0.1:0"};
  try {
    worker_pool pool{std::move(options)};
  } catch (const std::exception& refused) {
    return refused.what();
  }
  return {};
}

class pool_lanes_under : public every_waiter {};
UDPPUMP_UNDER_EVERY_WAITER(pool_lanes_under);

}  // namespace

TEST_P(pool_lanes_under, a_short_request_is_answered_while_long_ones_have_all_workers_that_are_not_reserved) {
  const shared<served_lanes> seen;
  pool_process pool{{.lanes = quick_and_rest(1), .workers = 3, .waiter = GetParam()}, [&](worker_pool& made) {
                      return made.run(told_to_the_parent([&](worker& self) {
                        const auto error = self.serve([&](datagram& received) {
                          seen->workers[received.lane()].fetch_or(1u << self.number());
                          if (received.lane() == 1) {
                            ++seen->long_ones;
                            std::this_thread::sleep_for(300ms);
                          }
                          received.reply(received.payload);
                        });
                        EXPECT_FALSE(error) << error.message();
                      }));
                    }};
  const asking_client slow{pool.address()};
  for (int count = 0; count < 6; ++count) slow.send("long");
  ASSERT_TRUE(eventually([&] { return seen->long_ones >= 2; }));
  const asking_client quick{pool.address()};
  int answered = 0;
  while (seen->long_ones < 6) {
    ASSERT_EQ(quick.ask("quick"), "quick");
    ++answered;
  }
  EXPECT_GE(answered, 3) << "while four more long ones were begun";
  for (int count = 0; count < 6; ++count) EXPECT_EQ(slow.receive(), "long");
  EXPECT_EQ(seen->workers[1].load() & 1, 0u) << "worker 0 is kept for quick ones";
  EXPECT_EQ(pool.stop(), 0) << pool.log();
}

TEST_P(pool_lanes_under, a_worker_that_is_kept_for_short_requests_is_not_kicked_for_long_ones) {
  pool_process pool{{.lanes = quick_and_rest(1), .workers = 2, .waiter = GetParam()}, [](worker_pool& made) {
                      return made.serve([](datagram& received) {
                        if (received.lane() == 1) std::this_thread::sleep_for(100ms);
                        received.reply(received.payload);
                      });
                    }};
  const asking_client client{pool.address()};
  for (int count = 0; count < 3; ++count) client.send("long");
  for (int count = 0; count < 3; ++count) EXPECT_EQ(client.receive(), "long");
  const pool_status status = pool.status();
  ASSERT_EQ(status.workers.size(), 2u);
  for (const auto& one : status.workers) {
    if (one.number == 0) {
      EXPECT_EQ(one.kicks, 0u);
      EXPECT_EQ(one.traffic->all.received, 0u);
    }
  }
  EXPECT_EQ(pool.stop(), 0) << pool.log();
}

TEST_P(pool_lanes_under, a_datagram_whose_worker_died_goes_to_a_worker_that_serves_its_lane) {
  const shared<served_lanes> seen;
  pool_process pool{{.lanes = quick_and_rest(1), .workers = 2, .waiter = GetParam(), .redeliver = redelivery{}},
                    [&](worker_pool& made) {
                      return made.run([&](worker& self) {
                        static_cast<void>(self.serve([&](datagram& received) {
                          seen->workers[received.lane()].fetch_or(1u << self.number());
                          if (received.lane() == 1 && seen->long_ones.fetch_add(1) == 0) ::raise(SIGKILL);
                          received.reply(received.payload);
                        }));
                      });
                    }};
  const asking_client client{pool.address()};
  EXPECT_EQ(client.ask("fatal"), "fatal");
  EXPECT_EQ(seen->workers[1].load(), 2u) << "worker 1, and the one in its place";
  EXPECT_EQ(pool.status().redelivery->redelivered, 1u);
  EXPECT_EQ(pool.stop(), 0) << pool.log();
}

TEST_P(pool_lanes_under, told_to_stop_no_worker_takes_from_a_lane_that_is_kept_for_others) {
  const shared<served_lanes> seen;
  pool_process pool{{.lanes = quick_and_rest(1), .workers = 2, .waiter = GetParam(), .stop_timeout = 5s},
                    [&](worker_pool& made) {
                      return made.run([&](worker& self) {
                        static_cast<void>(self.serve([&](datagram& received) {
                          seen->workers[received.lane()].fetch_or(1u << self.number());
                          if (received.lane() == 1) {
                            ++seen->long_ones;
                            std::this_thread::sleep_for(200ms);
                          }
                        }));
                      });
                    }};
  const asking_client client{pool.address()};
  for (int count = 0; count < 4; ++count) client.send("long");
  ASSERT_TRUE(eventually([&] { return seen->long_ones >= 1; }));
  EXPECT_EQ(pool.stop(), 0) << pool.log();
  EXPECT_EQ(seen->workers[1].load(), 2u);
}

namespace {

class pool_lanes_of : public testing::TestWithParam<worker_model> {};
INSTANTIATE_TEST_SUITE_P(both, pool_lanes_of, testing::Values(worker_model::processes, worker_model::threads),
                         [](const auto& chosen) {
                           return chosen.param == worker_model::threads ? "threads" : "processes";
                         });

}  // namespace

TEST_P(pool_lanes_of, reloads_and_take_overs_under_load_lose_nothing_and_leave_each_datagram_in_its_lane) {
  constexpr int reloads = 5;
  constexpr int take_overs = 10;
  const pool_options options{
      .lanes = odd_and_even(), .workers = 4, .model = GetParam(), .take_over = temporary_path("lanes")};
  auto pool = std::make_unique<pool_process>(pool_process::serving_with(options, answer_in_its_lane));
  auto with_port = options;
  with_port.bind = {pool->address().to_string()};
  steady_load load{pool->address(), 300us};
  for (int generation = 0; generation < take_overs; ++generation) {
    for (int reload = 0; reload < reloads; ++reload) {
      const std::size_t before = pool->count("reloaded: ");
      pool->signal(SIGHUP);
      load.run_until([&] { return pool->count("reloaded: ") > before; }, patience);
      ASSERT_GT(pool->count("reloaded: "), before) << pool->log();
    }
    auto next = std::make_unique<pool_process>(pool_process::serving_with(with_port, answer_in_its_lane));
    load.run_until([&] { return pool->has_said("stopped: ended; another"); }, patience);
    ASSERT_EQ(pool->join(), 0) << pool->log() << next->log();
    pool = std::move(next);
  }
  load.settle();
  EXPECT_EQ(load.refused(), 0u);
  EXPECT_EQ(load.unanswered(), 0u) << "of " << load.sent();
  EXPECT_EQ(load.repeated(), 0u);
  EXPECT_EQ(pool->stop(), 0) << pool->log();
}

TEST(pool_lanes, max_age_is_of_the_lane_that_has_one) {
  auto lanes = quick_and_rest();
  lanes[0].max_age = 50ms;
  pool_process pool{{.lanes = lanes, .workers = 1}, [](worker_pool& made) {
                      return made.serve([](datagram& received) {
                        if (received.text() == "wait") std::this_thread::sleep_for(300ms);
                        received.reply(received.payload);
                      });
                    }};
  const asking_client client{pool.address()};
  EXPECT_EQ(client.ask("qa"), "qa");  // from here on receive times are there
  client.send("wait");
  std::this_thread::sleep_for(50ms);  // it is in work
  client.send("q too old");
  client.send("rest");
  EXPECT_EQ(client.receive(), "wait");
  EXPECT_EQ(client.receive(), "rest");
  EXPECT_EQ(client.ask("qb"), "qb");
  EXPECT_EQ(pool.status().traffic->all.expired, 1u);
  EXPECT_EQ(pool.stop(), 0) << pool.log();
}

TEST(pool_lanes, that_another_start_names_otherwise_are_not_taken_over) {
  const pool_options options{.lanes = quick_and_rest(), .workers = 2, .take_over = temporary_path("other-lanes")};
  auto pool = pool_process::serving_with(options, echo);
  const address server = pool.address();
  auto other = options;
  other.bind = {server.to_string()};
  other.lanes[0].name = "fast";
  auto none = other;
  none.lanes.clear();
  for (const auto& [start, asks] : {std::pair{other, "fast, rest"}, std::pair{none, "none"}}) {
    auto next = pool_process::serving_with(start, echo);
    EXPECT_EQ(next.join(), 90);
    EXPECT_TRUE(next.has_said("has the lanes quick, rest, and this start asks for " + std::string{asks} +
                              "; lanes cannot change while they are served"))
        << next.log();
  }
  EXPECT_EQ(asking_client{server}.ask("q"), "q") << "the first serves on";
  EXPECT_EQ(pool.stop(), 0) << pool.log();
}

TEST(pool_lanes, of_a_port_that_had_none_are_added_by_a_take_over_and_nothing_is_lost) {
  pool_options options{.workers = 2, .take_over = temporary_path("new-lanes")};
  auto pool = std::make_unique<pool_process>(
      pool_process::serving_with(options, [](datagram& received) { received.reply(received.payload); }));
  steady_load load{pool->address(), 300us};
  options.bind = {pool->address().to_string()};
  options.lanes = odd_and_even();
  auto next = pool_process::serving_with(options, [](datagram& received) { received.reply(received.payload); });
  load.run_until([&] { return pool->has_said("stopped: ended; another"); }, patience);
  load.run(100ms, [] {});
  load.settle();
  EXPECT_EQ(load.unanswered(), 0u) << next.log();
  EXPECT_EQ(pool->join(), 0);
  EXPECT_TRUE(next.has_said("(odd)")) << next.log();
  const asking_client client{next.address()};
  client.send("\x01");
  client.send("\x02");
  EXPECT_TRUE(eventually([&] { return next.status().workers.size() == 2; }));
  EXPECT_EQ(next.stop(), 0) << next.log();
}

TEST(pool_lanes, that_a_take_over_would_have_added_take_nothing_from_the_pool_that_serves_on) {
  pool_options options{.workers = 2, .take_over = temporary_path("lanes-in-vain")};
  auto pool = pool_process::serving_with(options, [](datagram& received) { received.reply(received.payload); });
  steady_load load{pool.address(), 300us};
  options.bind = {pool.address().to_string()};
  options.lanes = odd_and_even();
  pool_process next{options, [](worker_pool& made) {
                      return made.run([](worker&) {
                        std::this_thread::sleep_for(20ms);
                        throw std::runtime_error{"cannot serve"};
                      });
                    }};
  load.run_until([&] { return next.has_said("stopped: stopped"); }, patience);
  EXPECT_NE(next.join(), 0);
  load.run(100ms, [] {});
  load.settle();
  EXPECT_LE(load.unanswered(), 2u) << "of thousands: for some microseconds the kernel hashes\n" << next.log();
  EXPECT_FALSE(pool.has_said("end its process")) << pool.log();
  EXPECT_EQ(asking_client{pool.address()}.ask("\x01"), "\x01");
  EXPECT_EQ(pool.stop(), 0) << pool.log();
}

TEST(pool_lanes, are_refused_on_a_socket_that_shares_its_port_with_others) {
  const auto passed = datagram_socket::bind(address::parse("127.0.0.1:0"), {.reuse_port = true});
  const auto beside = datagram_socket::bind(passed.local(), {.reuse_port = true});
  pool_options options{.workers = 2};
  options.lanes = quick_and_rest();
  options.adopt = {passed.fd()};
  try {
    const worker_pool pool{options};
    ADD_FAILURE() << "not refused";
  } catch (const std::system_error& refused) {
    EXPECT_THAT(refused.what(), AllOf(HasSubstr("shares its port with"),
                                      HasSubstr("(pid " + std::to_string(::getpid()) + ')'), HasSubstr("end its")));
  }
  // Nothing has been changed: both get what the kernel's hash gives them.
  int type = 0;
  socklen_t size = sizeof type;
  EXPECT_EQ(::getsockopt(passed.fd(), SOL_SOCKET, SO_REUSEPORT, &type, &size), 0);
  EXPECT_EQ(type, 1);
}

TEST(pool_lanes, are_refused_with_the_reason_where_they_make_no_sense) {
  const auto with = [](auto change) {
    pool_options options{.lanes = quick_and_rest(), .workers = 2};
    change(options);
    return refusal_of(options);
  };
  EXPECT_THAT(with([](pool_options& o) { o.lanes[0].reserve = 2; }), HasSubstr("quick: of 2 workers 2 are left"));
  EXPECT_THAT(with([](pool_options& o) { o.lanes[1].reserve = 1; }), HasSubstr("rest: it is the last"));
  EXPECT_THAT(with([](pool_options& o) { o.lanes[1].workers = 1; }), HasSubstr("omit workers"));
  EXPECT_THAT(with([](pool_options& o) { o.lanes[0].reserve = o.lanes[0].workers = 1; }),
              HasSubstr("reserve and workers exclude each other"));
  EXPECT_THAT(with([](pool_options& o) { o.lanes[0].max_age = -1s; }), HasSubstr("max_age is negative"));
  EXPECT_THAT(with([](pool_options& o) { o.lanes.pop_back(); }), HasSubstr("give 2 to 16"));
  EXPECT_THAT(with([](pool_options& o) { o.bind = {"unix:@udppump-lanes"}; }), HasSubstr("not of UDP"));
  EXPECT_THAT(with([](pool_options& o) { o.bind = {"127.0.0.1:0", "unix:@udppump-lanes"}; }), HasSubstr("not of UDP"));
  EXPECT_THAT(with([](pool_options& o) {
                o.socket.join = {{address::parse("239.1.1.1:0"), "lo"}};
              }),
              HasSubstr("to every lane"));
  EXPECT_EQ(with([](pool_options&) {}), "");
}

TEST(lane_plan, keeps_workers_of_low_numbers_for_the_first_lanes) {
  using plan = detail::lane_plan;
  const auto served = [](const plan& all, std::size_t workers, std::size_t lanes) {
    std::string text;
    for (std::size_t worker = 0; worker < workers; ++worker) {
      for (std::size_t lane = 0; lane < lanes; ++lane) {
        if (all.serves(worker, lane)) text += static_cast<char>('0' + lane);
      }
      text += ' ';
    }
    return text;
  };
  const lane quick{.name = "a", .match = first_byte('a'), .reserve = 2};
  const lane medium{.name = "b", .match = first_byte('b'), .reserve = 1};
  const lane own{.name = "c", .match = first_byte('c'), .workers = 2};
  const lane rest{.name = "d"};
  EXPECT_EQ(served(plan{std::vector{quick, medium, rest}, 5}, 5, 3), "0 0 01 012 012 ");
  EXPECT_EQ(served(plan{std::vector{own, rest}, 3}, 3, 2), "0 0 1 ");
  EXPECT_EQ(served(plan{std::vector{quick, own, rest}, 6}, 6, 3), "0 0 1 1 02 02 ");
  EXPECT_EQ(served(plan{std::vector{own, medium, rest}, 5}, 5, 3), "0 0 1 12 12 ");
  EXPECT_EQ(served(plan{}, 2, 1), "0 0 ") << "without lanes";
  EXPECT_THROW((plan{std::vector{own, medium, rest}, 3}), std::invalid_argument);
  EXPECT_NO_THROW((plan{std::vector{own, medium, rest}, 4}));
}

TEST(lane_balance, keeps_as_many_as_short_requests_need_and_leaves_what_long_ones_need) {
  const auto wanted = detail::lane_balance::wanted;
  EXPECT_EQ(wanted(0, 0, 8), 1u);
  EXPECT_EQ(wanted(0.5, 5.1, 8), 1u);
  EXPECT_EQ(wanted(0.7, 2, 8), 2u);
  EXPECT_EQ(wanted(1.3, 2, 8), 3u);
  EXPECT_EQ(wanted(4, 7, 8), 1u) << "long ones go first";
  EXPECT_EQ(wanted(100, 0, 8), 7u) << "one is left";
  EXPECT_EQ(wanted(1, 100, 2), 1u);
}

TEST(lane_balance, follows_what_handlers_take_at_once_upwards_and_after_a_while_downwards) {
  const std::vector<lane> lanes{{.name = "quick", .match = first_byte('q'), .reserve = automatic_reserve},
                                {.name = "rest"}};
  detail::board shared{8, 0};
  detail::lane_plan plan{lanes, 4};
  std::vector<std::string> told;
  const detail::pool_log log{[&told](const pool_event& event) { told.push_back(event.text); }};
  for (std::size_t number = 0; number < 4; ++number) static_cast<void>(shared.claim(number));
  detail::lane_balance balance{shared, lanes, plan, log};
  auto now = balance.next();
  const auto second = [&](std::chrono::nanoseconds quick, std::chrono::nanoseconds rest) {
    detail::add(shared.page(1).counts.lanes[0].handler_time, static_cast<std::uint64_t>(quick.count()));
    detail::add(shared.page(2).counts.lanes[1].handler_time, static_cast<std::uint64_t>(rest.count()));
    balance.look(now += 1s);
  };
  balance.look(now);
  for (int count = 0; count < 20; ++count) second(500ms, 0ms);
  EXPECT_EQ(told, std::vector<std::string>{}) << "half a worker needs one";
  for (int count = 0; count < 20; ++count) second(1500ms, 300ms);
  EXPECT_EQ(plan.reserve_of(0), 3u);
  EXPECT_THAT(told.back(), HasSubstr("lane quick: 3 workers are reserved now, 2 before: its requests keep 1."));
  for (std::size_t at = 0; at < 4; ++at) {
    EXPECT_EQ(shared.page(at).served_lanes.load(), at < 3 ? 1u : 3u) << at;
    EXPECT_GE(shared.page(at).looks.load(), 2u) << "told to look";
  }
  told.clear();
  for (int count = 0; count < 40; ++count) second(0ms, 1800ms);
  EXPECT_EQ(plan.reserve_of(0), 1u);
  EXPECT_LE(told.size(), 2u) << "it does not swing";
  // What a page says is a claim.
  for (const std::uint64_t claim : {~std::uint64_t{0}, std::uint64_t{0}, ~std::uint64_t{0} / 2}) {
    shared.page(0).counts.lanes[0].handler_time = claim;
    shared.page(0).counts.lanes[1].handler_time = claim;
    balance.look(now += 1s);
    EXPECT_GE(plan.reserve_of(0), 1u);
    EXPECT_LE(plan.reserve_of(0), 3u);
  }
}

TEST(lane_balance, asks_for_nothing_if_no_lane_leaves_it_to_the_pool) {
  const auto lanes = quick_and_rest(1);
  detail::board shared{4, 0};
  detail::lane_plan plan{lanes, 2};
  const detail::pool_log log{[](const pool_event&) {}};
  EXPECT_EQ((detail::lane_balance{shared, lanes, plan, log}.next()), detail::lane_balance::clock::time_point::max());
}

TEST(pool_lanes, keep_more_workers_while_short_requests_take_more_time) {
  const shared<served_lanes> seen;
  auto lanes = quick_and_rest();
  lanes[0].reserve = automatic_reserve;
  pool_process pool{{.lanes = lanes, .workers = 3}, [&](worker_pool& made) {
                      return made.run([&](worker& self) {
                        static_cast<void>(self.serve([&](datagram& received) {
                          seen->workers[received.lane()].fetch_or(1u << self.number());
                          if (received.lane() == 0) std::this_thread::sleep_for(20ms);
                          received.reply(received.payload);
                        }));
                      });
                    }};
  const asking_client quick{pool.address()}, slow{pool.address()};
  for (int count = 0; count < 200; ++count) quick.send("q");
  const bool is_told = eventually([&] {
    if (quick.receive() == "q") quick.send("q");
    return pool.has_said("lane quick: 2 workers are reserved now, 1 before");
  });
  ASSERT_TRUE(is_told) << pool.log();
  EXPECT_EQ(slow.ask("long"), "long");
  seen->workers[1] = 0;  // from here on
  for (int count = 0; count < 20; ++count) EXPECT_EQ(slow.ask("long"), "long");
  EXPECT_EQ(seen->workers[1].load(), 4u) << "worker 2 alone";
  EXPECT_EQ(pool.stop(), 0) << pool.log();
}

namespace {

/// As a parent has them: three lanes, and a client.
class watched_lanes : public testing::TestWithParam<const char*> {
 protected:
  watched_lanes() { sockets.open({{"udppump", address::parse(GetParam())}}, {}, false, {}, log); }

  /// In which socket a datagram arrives; -1: in none.
  int arrives_in(std::string_view text) {
    EXPECT_FALSE(client.send_to(text, address::parse("127.0.0.1:0").with_port(sockets.all()[0].local().port())));
    for (std::size_t at = 0; at < sockets.size(); ++at) {
      if (received(sockets.all()[at], 0ms)) return static_cast<int>(at);
    }
    return -1;
  }
  std::string sorted() {
    std::string all;
    for (const char* text : {"q", "m", "r", ""}) all += std::to_string(arrives_in(text)) + ' ';
    return all;
  }

  const std::vector<lane> lanes{{.name = "quick", .match = first_byte('q'), .receive_buffer = 65'536},
                                {.name = "medium", .match = first_byte('m')},
                                {.name = "rest"}};
  std::vector<std::string> texts;
  const detail::pool_log log{[this](const pool_event& event) { texts.push_back(event.text); }};
  const socket_options options{};
  detail::pool_sockets sockets{options, lanes};
  const datagram_socket client = datagram_socket::bind(address::parse("127.0.0.1:0"));
  const detail::socket_check::clock::time_point now = detail::socket_check::clock::now();
};
INSTANTIATE_TEST_SUITE_P(on, watched_lanes, testing::Values("127.0.0.1:0", "0.0.0.0:0"), [](const auto& address) {
  return std::string{address.param}.starts_with('0') ? "all_addresses" : "one_address";
});

}  // namespace

TEST_P(watched_lanes, that_nobody_touched_are_left_alone) {
  detail::socket_check check{sockets, detail::socket_state::sharers::pumps, options, log};
  EXPECT_EQ(sorted(), "0 1 2 2 ");
  for (int looks = 0; looks < 20; ++looks) EXPECT_FALSE(check.look(now));
  EXPECT_EQ(texts, std::vector<std::string>{});
  EXPECT_EQ(sorted(), "0 1 2 2 ");
}

TEST_P(watched_lanes, that_a_worker_has_sorted_otherwise_are_sorted_again) {
  detail::socket_check check{sockets, detail::socket_state::sharers::programs, options, log};
  sock_filter all_to_the_last[] = {BPF_STMT(BPF_RET | BPF_K, 0)};
  const sock_fprog program{1, all_to_the_last};
  ASSERT_EQ(::setsockopt(sockets.all()[1].fd(), SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof program), 0);
  ASSERT_EQ(sorted(), "2 2 2 2 ");
  EXPECT_FALSE(check.look(now));
  EXPECT_EQ(sorted(), "0 1 2 2 ");
}

TEST_P(watched_lanes, of_which_a_worker_has_connected_one_are_all_bound_anew_although_it_is_undone_by_then) {
  for (std::size_t at = 0; at < 3; ++at) {
    for (const bool is_undone : {true, false}) {
      texts.clear();
      detail::socket_check check{sockets, detail::socket_state::sharers::pumps, options, log};
      const address before = sockets.all()[at].local();
      const address nowhere = address::parse("127.0.0.1:9");
      const int fd = sockets.all()[at].fd();
      const detail::descriptor workers{::dup(fd)};
      ASSERT_EQ(::connect(fd, nowhere.data(), nowhere.size()), 0);
      const sockaddr nobody{.sa_family = AF_UNSPEC, .sa_data = {}};
      if (is_undone) {
        ASSERT_EQ(::connect(fd, &nobody, sizeof nobody), 0);
      }
      EXPECT_TRUE(check.look(now)) << "workers are to have the new ones";
      EXPECT_THAT(texts, testing::Contains(HasSubstr("new sockets of its port cure; they were bound")));
      EXPECT_EQ(sorted(), "0 1 2 2 ") << at;
      EXPECT_EQ(sockets.all()[at].local(), before);
      texts.clear();
      for (int looks = 0; looks < 3; ++looks) EXPECT_FALSE(check.look(now + 1h));
      EXPECT_EQ(texts, std::vector<std::string>{});
    }
  }
}

TEST_P(watched_lanes, beside_a_strangers_socket_are_told_of_and_it_gets_nothing) {
  detail::socket_check check{sockets, detail::socket_state::sharers::pumps, options, log};
  const auto stranger = datagram_socket::bind(sockets.all()[0].local(), {.reuse_port = true});
  EXPECT_EQ(sorted(), "0 1 2 2 ");
  EXPECT_FALSE(readable(stranger.fd()));
  EXPECT_FALSE(check.look(now));
  ASSERT_EQ(texts.size(), 1u) << "once for the port";
  EXPECT_THAT(texts[0], HasSubstr("bound there as well, by this pool's user"));
  EXPECT_THAT(texts[0], HasSubstr("(pid " + std::to_string(::getpid()) + ')'));
}

TEST_P(watched_lanes, are_bound_anew_only_when_no_stranger_is_left_who_would_get_what_is_for_one) {
  detail::socket_check check{sockets, detail::socket_state::sharers::pumps, options, log};
  auto stranger = std::make_optional(datagram_socket::bind(sockets.all()[0].local(), {.reuse_port = true}));
  EXPECT_FALSE(check.look(now));
  texts.clear();
  const address nowhere = address::parse("127.0.0.1:9");
  ASSERT_EQ(::connect(sockets.all()[1].fd(), nowhere.data(), nowhere.size()), 0);
  EXPECT_FALSE(check.look(now));
  EXPECT_THAT(texts,
              testing::Contains(AllOf(HasSubstr("binding them was refused"), HasSubstr("would get what is for a lane"),
                                      HasSubstr("(pid " + std::to_string(::getpid()) + ')'))));
  stranger.reset();
  EXPECT_TRUE(check.look(now + 10min));
  EXPECT_EQ(sorted(), "0 1 2 2 ");
}

TEST_P(watched_lanes, that_a_take_over_adds_get_nothing_before_it_is_settled) {
  auto old = datagram_socket::bind(address::parse(GetParam()));
  std::vector<detail::passed_socket> passed;
  passed.push_back({detail::descriptor{::dup(old.fd())}, {.name = "udppump"}});
  detail::pool_sockets next{options, lanes};
  next.open({{"udppump", old.local()}}, std::move(passed), true, {}, log);
  EXPECT_EQ(texts, std::vector<std::string>{}) << "nothing is odd about it";
  detail::socket_check check{next, detail::socket_state::sharers::pumps, options, log};
  EXPECT_FALSE(check.look(now));
  const auto send = [&](std::string_view text) {
    EXPECT_FALSE(client.send_to(text, address::parse("127.0.0.1:0").with_port(old.local().port())));
  };
  send("q");
  send("m");
  EXPECT_EQ(received(old), "q");
  EXPECT_EQ(received(old), "m");
  check.begin_to_sort();
  send("q");
  send("m");
  EXPECT_EQ(received(next.all()[0]), "q");
  EXPECT_EQ(received(next.all()[1]), "m");
  EXPECT_FALSE(check.look(now));
  send("q");
  EXPECT_EQ(received(next.all()[0]), "q");
}

TEST_P(watched_lanes, have_each_its_own_buffer_also_if_they_are_taken_over) {
  const auto buffer_of = [](const detail::pool_sockets& of, std::size_t at) {
    return of.all()[at].receive_buffer().granted;
  };
  EXPECT_LT(buffer_of(sockets, 0), buffer_of(sockets, 1));
  std::vector<detail::passed_socket> passed;
  for (std::size_t at = 0; at < sockets.size(); ++at) {
    passed.push_back({detail::descriptor{::dup(sockets.all()[at].fd())}, sockets.called()[at]});
  }
  detail::pool_sockets next{options, lanes};
  next.open({{"udppump", sockets.all()[0].local()}}, std::move(passed), true, {}, log);
  detail::socket_check check{next, detail::socket_state::sharers::pumps, options, log};
  EXPECT_FALSE(check.look(now));
  EXPECT_EQ(buffer_of(next, 0), buffer_of(sockets, 0));
  EXPECT_EQ(buffer_of(next, 1), buffer_of(sockets, 1));
  for (std::size_t at = 0; at < 3; ++at) EXPECT_EQ(next.all()[at].lane(), at);
  EXPECT_EQ(texts, std::vector<std::string>{});
  EXPECT_EQ(sorted(), "0 1 2 2 ");
}

TEST_P(watched_lanes, join_a_socket_that_a_service_manager_opened) {
  auto unit = datagram_socket::bind(address::parse(GetParam()));
  const address local = unit.local();
  std::vector<detail::passed_socket> passed;
  passed.push_back({detail::descriptor{unit.release()}, {.name = "unit", .from_service_manager = true}});
  detail::pool_sockets on{options, lanes};
  on.open({}, std::move(passed), false, {}, log);
  ASSERT_EQ(on.size(), 3u);
  EXPECT_EQ(on.called()[0].full_name(), "unit/quick");
  EXPECT_EQ(on.called()[2], (detail::listening{"unit", true, "rest"}));
  for (std::size_t at = 0; at < 3; ++at) EXPECT_EQ(on.all()[at].local(), local);
  detail::socket_check check{on, detail::socket_state::sharers::pumps, options, log};
  EXPECT_FALSE(check.look(now));
  EXPECT_EQ(texts, std::vector<std::string>{});
  ASSERT_FALSE(client.send_to("q", address::parse("127.0.0.1:0").with_port(local.port())));
  EXPECT_TRUE(readable(on.all()[0].fd()));
}
