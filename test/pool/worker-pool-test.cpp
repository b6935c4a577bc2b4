#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/resource.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <optional>
#include <random>
#include <thread>
#include <udppump/descriptor.hpp>
#include <vector>

#include "support/asking_client.hpp"
#include "support/fault.hpp"
#include "support/pool_process.hpp"
#include "support/serve.hpp"
#include "support/sockets.hpp"
#include "support/steady_load.hpp"
#include "support/task_state.hpp"
#include "support/waiters.hpp"

using namespace udppump;
using namespace std::chrono_literals;
using testing::AllOf;
using testing::HasSubstr;

namespace {

/// Takes a while, as handlers do.
void echo_later(datagram& received) {
  std::this_thread::sleep_for(500us);
  echo(received);
}

/// Processor time of all of them, to a hundredth of a second each (proc(5)).
std::chrono::milliseconds time_used_by(const std::vector<pid_t>& processes) {
  long ticks = 0;
  for (const pid_t one : processes) {
    std::ifstream about{"/proc/" + std::to_string(one) + "/stat"};
    std::string word;
    for (int field = 1; field <= 13; ++field) about >> word;  // the name has no space in it here
    long user = 0, system = 0;
    about >> user >> system;
    ticks += user + system;
  }
  return std::chrono::milliseconds{ticks * 1000 / ::sysconf(_SC_CLK_TCK)};
}

// --- under every waiter ----------------------------------------------------------------------------------------------

class pool_under : public every_waiter {
 protected:
  pool_options options(pool_options chosen = {}) const {
    chosen.waiter = GetParam();
    if (chosen.workers == 0) chosen.workers = 4;
    return chosen;
  }
};
UDPPUMP_UNDER_EVERY_WAITER(pool_under);

TEST_P(pool_under, workers_answer_and_end_when_told_to) {
  auto pool = pool_process::serving_with(options(), echo);
  const asking_client client{pool.address()};
  for (int asked = 0; asked < 20; ++asked) EXPECT_EQ(client.ask("question"), "question");
  const auto workers = pool.workers();
  EXPECT_EQ(workers.size(), 4u);
  EXPECT_EQ(pool.stop(), 0);
  for (const pid_t one : workers) EXPECT_TRUE(is_gone(one));
  EXPECT_TRUE(pool.has_said("stopped: "));
}

std::uint64_t kicks_of(const pool_process& pool) {
  std::uint64_t all = 0;
  for (const auto& one : pool.status().workers) all += one.kicks.value_or(0);
  return all;
}

/// Asks, and notes how long the answer took where the parent had to kick somebody for it.
class repair_times {
 public:
  void ask(const asking_client& client, const pool_process& pool) {
    // So that whoever answered last waits again: or it finds the next one without a wake-up.
    std::this_thread::sleep_for(2ms);
    const auto before = kicks_of(pool);
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_FALSE(client.ask("is somebody there").empty());
    const auto took = std::chrono::steady_clock::now() - begin;
    if (kicks_of(pool) != before) repairs_.push_back(std::chrono::duration_cast<std::chrono::microseconds>(took));
  }
  std::size_t count() const { return repairs_.size(); }
  std::chrono::microseconds median() {
    std::sort(repairs_.begin(), repairs_.end());
    std::printf("%zu stranded wake-ups, repaired after %.1f to %.1f ms\n", repairs_.size(),
                static_cast<double>(repairs_.front().count()) / 1000,
                static_cast<double>(repairs_.back().count()) / 1000);
    return repairs_[repairs_.size() / 2];
  }

 private:
  std::vector<std::chrono::microseconds> repairs_;
};

TEST_P(pool_under, a_wake_up_given_to_a_stopped_worker_is_repaired) {
  auto pool =
      pool_process::serving_with(options(), [](datagram& received) { received.reply(std::to_string(::getpid())); });
  const asking_client client{pool.address()};
  repair_times repairs;
  for (int round = 0; round < 12; ++round) {
    const pid_t victim = std::stoi(client.ask("who is there"));
    ASSERT_TRUE(eventually([&] {
      for (const auto& one : pool.status().workers) {
        if (one.pid == victim) return one.state == worker_state::idle;
      }
      return false;
    }));
    ASSERT_TRUE(eventually([&] { return is_asleep(victim); }));
    ::kill(victim, SIGSTOP);
    for (int asked = 0; asked < 8; ++asked) repairs.ask(client, pool);
    ::kill(victim, SIGCONT);
  }
  const auto before = time_used_by(pool.workers());
  std::this_thread::sleep_for(300ms);
  EXPECT_LT(time_used_by(pool.workers()) - before, 150ms) << "who was told to look goes on looking";
  EXPECT_EQ(pool.stop(), 0);
  if (repairs.count() == 0) {
    ASSERT_NE(GetParam(), waiter_kind::uring);
    GTEST_SKIP() << "no wake-up was stranded: epoll and poll pass over a process that is stopped";
  }
  EXPECT_LE(repairs.median(), 20ms);
}

TEST_P(pool_under, a_wake_up_given_to_a_worker_whose_loop_is_busy_is_repaired) {
  // It is armed and looks idle, but its event loop does something else.
  const shared<std::atomic<bool>> busy;
  const shared<std::atomic<int>> over_with;
  auto pool = pool_process{options(), [&](worker_pool& made) {
                             return made.run([&](worker& self) {
                               bool over = false;
                               bool is_told = false;
                               self.on_stop([&over] { over = true; });
                               grouped_pump serve = self.pumps().add(self.sockets()[0], [&is_told](datagram& received) {
                                 if (received.text() == "be busy") is_told = true;
                                 echo(received);
                               });
                               while (!over) {
                                 if (readable(self.pumps().wake_fd(), 10s)) {
                                   static_cast<void>(self.pumps().dispatch());
                                 }
                                 if (std::exchange(is_told, false)) {
                                   static_cast<void>(eventually([&] { return !*busy; }));
                                   ++*over_with;
                                 }
                               }
                             });
                           }};
  const asking_client client{pool.address()};
  repair_times repairs;
  for (int round = 0; round < 5; ++round) {
    *busy = true;
    EXPECT_EQ(client.ask("be busy"), "be busy");
    for (int asked = 0; asked < 8; ++asked) repairs.ask(client, pool);
    *busy = false;
    EXPECT_TRUE(eventually([&] { return *over_with > round; }));
  }
  EXPECT_EQ(pool.stop(), 0);
  if (GetParam() == waiter_kind::poll) return;  // wakes all who are idle
  ASSERT_GT(repairs.count(), 0u);
  EXPECT_LE(repairs.median(), 20ms);
}

TEST_P(pool_under, a_second_sockets_wake_up_does_not_wait_for_the_first_ones_handler) {
  // The worker that is woken for one socket is busy with a datagram of the other.
  const shared<std::atomic<bool>> released;
  auto pool =
      pool_process{options({.bind = {"127.0.0.1:0", "127.0.0.1:0"}, .workers = 2}), [&released](worker_pool& made) {
                     const auto second = made.sockets()[1].local().port();
                     return made.serve([second, &released](datagram& received) {
                       if (received.text() == "which port") {
                         received.reply(std::to_string(second));
                         return;
                       }
                       if (received.text() == "long") {
                         static_cast<void>(eventually([&released] { return released->load(); }));
                       }
                       echo(received);
                     });
                   }};
  const asking_client first{pool.address()};
  const asking_client second{address::parse("127.0.0.1:" + first.ask("which port"))};
  first.send("long");
  for (int asked = 0; asked < 20; ++asked) EXPECT_EQ(second.ask("short"), "short");
  EXPECT_TRUE(first.receive(1ms).empty()) << "the long handler is still at work";
  *released = true;
  EXPECT_EQ(first.receive(), "long");
  EXPECT_EQ(pool.stop(), 0);
}

TEST_P(pool_under, workers_finish_what_they_hold_before_they_end) {
  auto pool = pool_process::serving_with(options({.workers = 1}), [](datagram& received) {
    std::this_thread::sleep_for(400ms);
    echo(received);
  });
  const asking_client client{pool.address()};
  client.send("held");
  ASSERT_TRUE(eventually([&] { return pool.status().workers.at(0).state == worker_state::handling; }));
  pool.signal(SIGTERM);
  EXPECT_EQ(client.receive(), "held");
  EXPECT_EQ(pool.join(), 0);
}

TEST_P(pool_under, tickets_that_are_out_come_back_before_a_worker_ends) {
  auto pool = pool_process::serving_with(options({.workers = 1}), [](datagram& received) {
    std::thread{[path = received.reply_path(), kept = received.hold()] {
      std::this_thread::sleep_for(400ms);
      static_cast<void>(path.send("later"));
    }}.detach();
  });
  const asking_client client{pool.address()};
  client.send("x");
  ASSERT_TRUE(eventually([&] { return pool.status().workers.at(0).traffic->all.handled == 1; }));
  EXPECT_EQ(pool.stop(), 0);
  EXPECT_EQ(client.receive(0ms), "later");
}

TEST_P(pool_under, a_worker_with_an_event_loop_of_its_own_is_told_when_to_end_it) {
  auto pool = pool_process{options(), [](worker_pool& made) {
                             return made.run(told_to_the_parent([](worker& self) {
                               grouped_pump serve = self.pumps().add(self.sockets()[0], echo);
                               bool over = false;
                               self.on_stop([&over] { over = true; });
                               while (!over) {
                                 if (readable(self.pumps().wake_fd(), 10s)) {
                                   static_cast<void>(self.pumps().dispatch());
                                 }
                               }
                               EXPECT_TRUE(serve.stopped());
                               EXPECT_TRUE(self.stopping());
                             }));
                           }};
  const asking_client client{pool.address()};
  for (int asked = 0; asked < 10; ++asked) EXPECT_EQ(client.ask("question"), "question");
  const auto before = pool.workers();
  pool.signal(SIGHUP);
  EXPECT_TRUE(pool.says("reloaded: "));
  EXPECT_THAT(pool.workers(), testing::Each(testing::Not(testing::AnyOfArray(before))));
  EXPECT_EQ(client.ask("again"), "again");
  EXPECT_EQ(pool.stop(), 0);
  EXPECT_EQ(pool.count("status 0"), 8u) << pool.log();
}

TEST_P(pool_under, a_datagram_that_kills_workers_is_given_to_so_many_then_saved_and_dropped) {
  const std::string file = temporary_path("poison");
  std::remove(file.c_str());
  auto pool = pool_process::serving_with(options({.redeliver = redelivery{.most = 2, .poison_file = file}}),
                                         [](datagram& received) {
                                           if (received.text() == "poison") ::_exit(3);
                                           echo(received);
                                         });
  const asking_client client{pool.address()};
  client.send("poison");
  EXPECT_TRUE(pool.says("datagram-poisoned: "));
  EXPECT_EQ(client.ask("water"), "water");
  const auto status = pool.status();
  EXPECT_EQ(status.redelivery->redelivered, 2u);
  EXPECT_EQ(status.redelivery->poisoned, 1u);
  EXPECT_TRUE(eventually([&] { return pool.count("worker-died: ") == 3; })) << pool.log();
  EXPECT_EQ(pool.stop(), 0);
  std::string line;
  std::getline(std::ifstream{file}, line);
  EXPECT_THAT(line, AllOf(HasSubstr(" deaths=3 from=127.0.0.1:"), HasSubstr(" bytes=6 payload=706f69736f6e")));
  std::remove(file.c_str());
}

TEST_P(pool_under, a_datagram_handed_over_keeps_its_addresses) {
  // Bound to a wildcard, so that the answer must leave from the address that was asked.
  auto pool = pool_process::serving_with(options({.bind = {"0.0.0.0:0"}, .redeliver = redelivery{.most = 4}}),
                                         [died = std::make_shared<shared<std::atomic<int>>>()](datagram& received) {
                                           if ((**died)++ == 0) ::_exit(3);
                                           echo(received);
                                         });
  const auto port = pool.address().port();
  const asking_client client{address::parse("127.0.0.2:0").with_port(port)};
  EXPECT_EQ(client.ask("who are you"), "who are you");  // a connected client takes answers from 127.0.0.2 only
  EXPECT_EQ(pool.stop(), 0);
}

// --- reloads and take-overs ------------------------------------------------------------------------------------------

class pool_of : public testing::TestWithParam<worker_model> {};
INSTANTIATE_TEST_SUITE_P(both, pool_of, testing::Values(worker_model::processes, worker_model::threads),
                         [](const auto& chosen) {
                           return chosen.param == worker_model::threads ? "threads" : "processes";
                         });

TEST_P(pool_of, never_fewer_than_all_workers_serve_during_a_reload) {
  auto pool = pool_process::serving_with({.workers = 3, .model = GetParam()}, echo);
  const asking_client client{pool.address()};
  std::size_t fewest = 100;
  for (int reload = 1; reload <= 5; ++reload) {
    pool.signal(SIGHUP);
    ASSERT_TRUE(eventually([&] {
      // A snapshot is not of one instant: it may see the new one too early and the old one too late.
      const auto serving = [&pool] {
        const auto workers = pool.status().workers;
        return static_cast<std::size_t>(std::count_if(workers.begin(), workers.end(),
                                                      [](const auto& one) { return one.state == worker_state::idle; }));
      };
      fewest = std::min(fewest, std::max({serving(), serving(), serving()}));
      return pool.count("reloaded: ") == static_cast<std::size_t>(reload);
    })) << pool.log();
  }
  EXPECT_GE(fewest, 3u);
  EXPECT_EQ(pool.status().reloads, 5u);
  EXPECT_EQ(client.ask("still there"), "still there");
  EXPECT_EQ(pool.stop(), 0);
}

TEST_P(pool_of, a_worker_whose_handler_throws_is_replaced_and_the_log_says_what_it_threw) {
  auto pool = pool_process::serving_with({.workers = 2, .model = GetParam()}, [](datagram& received) {
    if (received.text() == "bad") throw std::runtime_error{"this is too much"};
    echo(received);
  });
  const asking_client client{pool.address()};
  EXPECT_EQ(client.ask("good"), "good");
  client.send("bad");
  EXPECT_TRUE(pool.says("; its last words: \"this is too much\"; another is started"));
  EXPECT_EQ(client.ask("good"), "good");
  EXPECT_EQ(pool.stop(), 0) << pool.log();
}

TEST_P(pool_of, with_redeliver_what_a_handler_threw_at_is_given_to_another_worker) {
  auto pool = pool_process::serving_with({.workers = 2, .model = GetParam(), .redeliver = redelivery{.most = 3}},
                                         [thrown = std::make_shared<shared<std::atomic<int>>>()](datagram& received) {
                                           if ((**thrown)++ < 2) throw std::runtime_error{"not yet"};
                                           echo(received);
                                         });
  const asking_client client{pool.address()};
  EXPECT_EQ(client.ask("third time lucky"), "third time lucky");
  EXPECT_EQ(pool.status().redelivery->redelivered, 2u);
  EXPECT_EQ(pool.stop(), 0) << pool.log();
}

TEST_P(pool_of, a_crash_loop_ends_the_pool_and_says_why) {
  auto pool = pool_process{
      {.workers = 2, .model = GetParam(), .restart = {.first_delay = 1ms, .crash_limit = 4}},
      [](worker_pool& made) { return made.run([](worker&) { throw std::runtime_error{"no database"}; }); }};
  EXPECT_EQ(pool.join(), static_cast<int>(pool_result::crash_loop));
  EXPECT_TRUE(pool.has_said("crash-loop: workers cannot be kept alive: ")) << pool.log();
  EXPECT_TRUE(pool.has_said("no database")) << pool.log();
  EXPECT_LE(pool.count("worker-died: "), 8u);
}

TEST_P(pool_of, a_worker_that_does_not_stop_is_ended_after_the_deadline) {
  auto pool = pool_process{{.workers = 2, .model = GetParam(), .stop_timeout = 300ms}, [](worker_pool& made) {
                             return made.run([](worker& self) {
                               grouped_pump serve = self.pumps().add(self.sockets()[0], echo);
                               for (;;) {
                                 static_cast<void>(readable(self.pumps().wake_fd(), 1s));
                                 if (!self.stopping()) static_cast<void>(self.pumps().dispatch());
                                 std::this_thread::sleep_for(10ms);
                               }
                             });
                           }};
  static_cast<void>(pool.address());
  const auto workers = pool.workers();
  EXPECT_EQ(pool.stop(), static_cast<int>(pool_result::killed));
  EXPECT_TRUE(pool.has_said(" and is killed; what it held is lost")) << pool.log();
  for (const pid_t one : workers) EXPECT_TRUE(eventually([one] { return is_gone(one); }));
}

TEST_P(pool_of, status_tells_what_each_worker_did) {
  auto pool = pool_process::serving_with({.workers = 2, .model = GetParam()}, [](datagram& received) {
    std::this_thread::sleep_for(2ms);
    echo(received);
  });
  const asking_client client{pool.address()};
  for (int asked = 0; asked < 30; ++asked) EXPECT_EQ(client.ask("12345"), "12345");
  ASSERT_TRUE(eventually([&] {
    std::uint64_t handled = 0;
    for (const auto& one : pool.status().workers) handled += one.traffic->all.handled;
    return handled == 30;
  }));
  std::uint64_t received = 0;
  std::uint64_t bytes = 0;
  const pool_status status = pool.status();
  EXPECT_EQ(status.parent, pool.pid());
  ASSERT_EQ(status.workers.size(), 2u);
  for (std::size_t at = 0; at < 2; ++at) {
    const worker_status& one = status.workers[at];
    EXPECT_EQ(one.number, at);
    EXPECT_EQ(one.state, worker_state::idle);
    EXPECT_FALSE(one.handling_for);
    ASSERT_TRUE(one.traffic);
    EXPECT_FALSE(one.traffic->ages) << "nobody knows when datagrams came";
    EXPECT_TRUE(one.traffic->lanes.empty());
    const traffic_counts& all = one.traffic->all;
    EXPECT_EQ(one.traffic->times.total(), all.handled);
    if (all.handled > 0) {
      EXPECT_GE(one.traffic->times.percentile(0.5), 2ms);
      EXPECT_GE(all.handler_time, all.handled * 2ms);
    }
    received += all.received;
    bytes += all.bytes;
  }
  EXPECT_EQ(received, 30u);
  EXPECT_EQ(bytes, 150u);
  EXPECT_EQ(pool.stop(), 0);
}

TEST_P(pool_of, a_worker_may_ask_for_a_reload_and_for_the_end_of_the_pool) {
  auto pool = pool_process{{.workers = 2, .model = GetParam()}, [](worker_pool& made) {
                             return made.serve([&made](datagram& received) {
                               if (received.text() == "reload") made.request_reload();
                               if (received.text() == "stop") made.request_stop();
                             });
                           }};
  const asking_client client{pool.address()};
  client.send("reload");
  EXPECT_TRUE(pool.says("reloaded: "));
  client.send("stop");
  EXPECT_EQ(pool.join(), 0) << pool.log();
}

TEST_P(pool_of, two_requests_to_stop_do_not_wait_for_the_deadline) {
  auto pool = pool_process::serving_with({.workers = 1, .model = GetParam(), .stop_timeout = 10min},
                                         [](datagram&) { std::this_thread::sleep_for(10min); });
  const asking_client client{pool.address()};
  client.send("hold this for long");
  ASSERT_TRUE(eventually([&] { return pool.status().workers.at(0).state == worker_state::handling; }));
  pool.signal(SIGINT);
  EXPECT_TRUE(pool.says("stopping: SIGINT"));
  pool.signal(SIGINT);
  EXPECT_EQ(pool.join(), static_cast<int>(pool_result::killed));
}

TEST_P(pool_of, a_reload_goes_on_past_a_worker_that_does_not_stop) {
  shared<std::atomic<bool>> may_end;
  // Longer than the parent looks for stranded wake-ups after the last datagram: then only the deadline wakes it.
  auto pool = pool_process::serving_with({.workers = 2, .model = GetParam(), .stop_timeout = 900ms},
                                         [&may_end](datagram& received) {
                                           if (received.text() == "long") eventually([&] { return may_end->load(); });
                                           echo(received);
                                         });
  const asking_client client{pool.address()};
  client.send("long");
  ASSERT_TRUE(eventually([&] {
    for (const auto& one : pool.status().workers) {
      if (one.state == worker_state::handling) return true;
    }
    return false;
  }));
  pool.signal(SIGHUP);
  EXPECT_TRUE(pool.says("reloaded: "));
  EXPECT_EQ(asking_client{pool.address()}.ask("short"), "short");
  *may_end = true;
  if (GetParam() == worker_model::threads) {
    EXPECT_EQ(client.receive(), "long");  // a thread is left to finish
  }
  EXPECT_EQ(pool.stop(), 0) << pool.log();
}

TEST_P(pool_of, what_a_worker_held_that_died_while_the_pool_stops_is_answered_all_the_same) {
  auto pool = pool_process::serving_with({.workers = 2, .model = GetParam(), .redeliver = redelivery{}},
                                         [died = std::make_shared<shared<std::atomic<int>>>()](datagram& received) {
                                           std::this_thread::sleep_for(300ms);
                                           if ((**died)++ == 0) throw std::runtime_error{"dead"};
                                           echo(received);
                                         });
  const asking_client client{pool.address()};
  client.send("held");
  ASSERT_TRUE(eventually([&] {
    for (const auto& one : pool.status().workers) {
      if (one.state == worker_state::handling) return true;
    }
    return false;
  }));
  pool.signal(SIGTERM);
  EXPECT_EQ(pool.join(), 0) << pool.log();
  EXPECT_EQ(client.receive(0ms), "held") << pool.log();
}

TEST_P(pool_of, a_time_without_end_is_one) {
  auto pool = pool_process::serving_with(
      {.workers = 1, .model = GetParam(), .stop_timeout = std::chrono::milliseconds::max()}, [](datagram& received) {
        std::this_thread::sleep_for(300ms);
        echo(received);
      });
  const asking_client client{pool.address()};
  client.send("held");
  ASSERT_TRUE(eventually([&] { return pool.status().workers.at(0).state == worker_state::handling; }));
  EXPECT_EQ(pool.stop(), 0) << pool.log();
  EXPECT_EQ(client.receive(0ms), "held");
}

TEST_P(pool_of, workers_that_wait_for_tickets_are_not_kicked) {
  auto pool = pool_process::serving_with({.workers = 1, .model = GetParam()},
                                         [](datagram& received) {
                                           std::thread{[path = received.reply_path(), kept = received.hold()] {
                                             std::this_thread::sleep_for(500ms);
                                             static_cast<void>(path.send("later"));
                                           }}.detach();
                                         },
                                         {.max_in_flight = 1});
  const asking_client client{pool.address()};
  client.send("x");
  client.send("y");
  EXPECT_EQ(client.receive(), "later");
  EXPECT_EQ(client.receive(), "later");
  EXPECT_LE(kicks_of(pool), 3u);  // none but around the moments when the ticket is taken and comes back
  EXPECT_EQ(pool.stop(), 0);
}

// --- processes -------------------------------------------------------------------------------------------------------

TEST(pool, no_worker_outlives_a_parent_that_is_killed) {
  auto pool = pool_process::serving_with({.workers = 3}, echo);
  static_cast<void>(pool.address());
  const auto workers = pool.workers();
  ASSERT_EQ(workers.size(), 3u);
  pool.signal(SIGKILL);
  EXPECT_EQ(pool.join(), 128 + SIGKILL);
  for (const pid_t one : workers) EXPECT_TRUE(eventually([one] { return is_gone(one); }));
}

std::string command_of(pid_t pid) {
  std::string name;
  std::getline(std::ifstream{"/proc/" + std::to_string(pid) + "/comm"}, name);
  return name;
}

bool has_user(pid_t pid, uid_t user) {
  std::ifstream about{"/proc/" + std::to_string(pid) + "/status"};
  for (std::string line; std::getline(about, line);) {
    if (line.rfind("Uid:\t" + std::to_string(user) + '\t', 0) == 0) return true;
  }
  return false;
}

/// The kernel forgets PR_SET_PDEATHSIG when a process becomes another user (prctl(2)).
TEST(pool, no_worker_that_became_another_user_outlives_a_parent_that_is_killed) {
  if (::geteuid() != 0) GTEST_SKIP() << "requires root, to become another user";
  constexpr uid_t nobody = 65534;
  const auto become_nobody = [](worker& self) {
    if (::setresuid(nobody, nobody, nobody) == 0)
      static_cast<void>(self.serve([](datagram& received) {
        if (received.text() == "hold") std::this_thread::sleep_for(10min);
        echo(received);
      }));
  };
  for (const bool runs_a_program : {false, true}) {
    auto pool = pool_process{{.workers = 3}, [&](worker_pool& made) {
                               if (!runs_a_program) return made.run(become_nobody);
                               return made.run(worker_program{{"setpriv", "--reuid=65534", "sleep", "600"}});
                             }};
    const asking_client client{pool.address()};
    const auto workers = pool.workers();
    ASSERT_EQ(workers.size(), 3u);
    for (const pid_t one : workers) ASSERT_TRUE(eventually([one] { return has_user(one, nobody); })) << pool.log();
    client.send("hold");  // one is busy, the others sleep
    pool.signal(SIGKILL);
    EXPECT_EQ(pool.join(), 128 + SIGKILL);
    for (const pid_t one : workers) EXPECT_TRUE(eventually([one] { return is_gone(one); }));
  }
}

/// The first process that `parent` starts.
pid_t child_of(pid_t parent) {
  pid_t child = 0;
  const std::string list = "/proc/" + std::to_string(parent) + "/task/" + std::to_string(parent) + "/children";
  EXPECT_TRUE(eventually([&] { return static_cast<bool>(std::ifstream{list} >> child); }));
  return child;
}

TEST(pool, what_a_program_starts_does_not_outlive_a_parent_that_is_killed) {
  const bool changes_user = ::geteuid() == 0;
  auto pool = pool_process{{.workers = 2}, [changes_user](worker_pool& made) {
                             const char* const starts =
                                 changes_user ? "setpriv --reuid=65534 sleep 600; true" : "sleep 600; true";
                             return made.run(worker_program{{"sh", "-c", starts}});
                           }};
  static_cast<void>(pool.address());
  std::vector<pid_t> started;
  for (const pid_t one : pool.workers()) started.push_back(child_of(one));
  ASSERT_EQ(started.size(), 2u);
  for (const pid_t one : started) {
    ASSERT_TRUE(!changes_user || eventually([one] { return has_user(one, 65534); })) << pool.log();
  }
  pool.signal(SIGKILL);
  EXPECT_EQ(pool.join(), 128 + SIGKILL);
  for (const pid_t one : started) EXPECT_TRUE(eventually([one] { return is_gone(one); }));
}

TEST(pool, what_a_worker_left_in_its_group_lives_as_long_as_it_likes_unless_the_parent_is_killed) {
  for (const bool is_killed : {true, false}) {
    auto pool =
        pool_process{{.workers = 1}, [](worker_pool& made) {
                       return made.run(worker_program{{"sh", "-c", "(trap '' TERM; exec sleep 600) & exec sleep 600"}});
                     }};
    static_cast<void>(pool.address());
    const pid_t worker = pool.workers().at(0);
    const pid_t left = child_of(worker);
    ASSERT_TRUE(eventually([left] { return command_of(left) == "sleep"; }));  // and is deaf
    ::kill(worker, SIGKILL);
    ASSERT_TRUE(pool.says("another is started")) << pool.log();
    EXPECT_FALSE(is_gone(left)) << "it did not end by itself";
    if (is_killed) {
      pool.signal(SIGKILL);
      EXPECT_EQ(pool.join(), 128 + SIGKILL);
      EXPECT_TRUE(eventually([left] { return is_gone(left); }));
      continue;
    }
    ASSERT_TRUE(eventually([&] { return pool.workers().size() == 1; })) << pool.log();
    const pid_t last = child_of(pool.workers().at(0));
    ASSERT_TRUE(eventually([last] { return command_of(last) == "sleep"; }));
    EXPECT_EQ(pool.stop(), 0);
    for (const pid_t one : {left, last}) {
      EXPECT_FALSE(is_gone(one)) << "it does not belong to the pool";
      ::kill(one, SIGKILL);
    }
  }
}

/// The program's sockets are put where descriptors were that were closed in the worker, and so perhaps where its
/// lifeline would be.
TEST(pool, no_program_that_became_another_user_outlives_a_parent_whose_own_descriptors_are_the_lowest) {
  if (::geteuid() != 0) GTEST_SKIP() << "requires root, to become another user";
  std::vector<detail::descriptor> lowest;
  do lowest.emplace_back(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  while (lowest.back().fd() < 20);
  auto pool = pool_process{{.bind = {"127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"}, .workers = 1},
                           [&](worker_pool& made) {
                             lowest.clear();  // free for what the parent opens now
                             return made.run(worker_program{{"setpriv", "--reuid=65534", "sleep", "600"}});
                           }};
  static_cast<void>(pool.address());
  const pid_t worker = pool.workers().at(0);
  ASSERT_TRUE(eventually([worker] { return has_user(worker, 65534); })) << pool.log();
  pool.signal(SIGKILL);
  EXPECT_EQ(pool.join(), 128 + SIGKILL);
  EXPECT_TRUE(eventually([worker] { return is_gone(worker); }));
}

TEST(pool, a_worker_told_to_end_by_its_own_id_finishes_and_is_replaced) {
  auto pool = pool_process::serving_with({.workers = 2}, echo_later);
  steady_load load{pool.address(), 1ms};
  const pid_t victim = pool.workers().at(0);
  ::kill(victim, SIGTERM);
  load.run_until([&] { return pool.has_said("another is started"); }, patience);
  load.run(300ms, [] {});
  load.settle();
  EXPECT_EQ(load.unanswered(), 0u);
  EXPECT_TRUE(pool.has_said("(pid " + std::to_string(victim) + ") exited with status 0")) << pool.log();
  EXPECT_EQ(pool.stop(), 0);
}

TEST(pool, a_child_that_a_handler_forks_leaves_the_workers_page_alone) {
  const shared<std::array<std::atomic<pid_t>, 3>> children;
  const shared<std::atomic<std::size_t>> forked;
  auto pool = pool_process::serving_with({.workers = 1}, [&](datagram& received) {
    const pid_t child = fork_when_others_sleep();
    if (child == 0) return;  // comes back in the child, which then ends by itself
    children->at((*forked)++) = child;
    echo(received);
  });
  const asking_client client{pool.address()};
  for (int asked = 0; asked < 3; ++asked) EXPECT_EQ(client.ask("x"), "x");
  for (const auto& child : *children) EXPECT_TRUE(eventually([&] { return is_gone(child); }));  // they can do no harm
  // The answer leaves before its handler is counted.
  EXPECT_TRUE(eventually([&pool] { return pool.status().workers.at(0).traffic->all.handled >= 3; }));
  const auto worker = pool.status().workers.at(0);
  EXPECT_EQ(worker.traffic->all.received, 3u);
  EXPECT_EQ(worker.traffic->all.handled, 3u);
  EXPECT_EQ(pool.stop(), 0) << pool.log();
}

TEST(pool, workers_are_replaced_where_whoever_started_it_ignored_sigchld) {
  ::signal(SIGCHLD, SIG_IGN);
  auto pool = pool_process::serving_with({.workers = 2}, echo);
  ::signal(SIGCHLD, SIG_DFL);
  const asking_client client{pool.address()};
  ::kill(pool.workers().at(0), SIGKILL);
  EXPECT_TRUE(pool.says("another is started"));
  EXPECT_EQ(client.ask("x"), "x");
  EXPECT_EQ(pool.stop(), 0);
}

TEST(pool, pumps_outside_of_the_group_serve_when_the_worker_says_that_it_is_ready) {
  auto pool = pool_process{{.workers = 1, .start_timeout = 2s}, [](worker_pool& made) {
                             return made.run([](worker& self) {
                               pump outside{self.sockets()[0], echo};
                               self.ready();
                               while (!self.stopping()) {
                                 if (readable(outside.wake_fd(), 10ms)) static_cast<void>(outside.dispatch());
                               }
                             });
                           }};
  const asking_client client{pool.address()};
  EXPECT_EQ(client.ask("x"), "x");
  EXPECT_EQ(pool.stop(), 0) << pool.log();
}

TEST(pool, a_worker_that_does_not_begin_to_serve_is_killed_and_not_waited_for) {
  auto pool =
      pool_process{{.workers = 1, .restart = {.first_delay = 1ms, .crash_limit = 2}, .start_timeout = 100ms},
                   [](worker_pool& made) { return made.run([](worker&) { std::this_thread::sleep_for(patience); }); }};
  EXPECT_EQ(pool.join(), static_cast<int>(pool_result::crash_loop));
  EXPECT_EQ(pool.count("did not begin to serve within 100 ms and is killed"), 2u) << pool.log();
}

TEST(pool, serves_sockets_that_are_open_already_beside_those_it_binds) {
  const datagram_socket mine = datagram_socket::bind(address::parse("127.0.0.1:0"));
  const shared<std::atomic<unsigned>> bound_port;
  auto pool = pool_process{{.adopt = {mine.fd()}, .workers = 2}, [&](worker_pool& made) {
                             *bound_port = made.sockets()[1].local().port();
                             return made.serve(echo);
                           }};
  EXPECT_EQ(pool.address(), mine.local());
  EXPECT_EQ(asking_client{mine.local()}.ask("adopted"), "adopted");
  EXPECT_EQ(asking_client{mine.local().with_port(static_cast<std::uint16_t>(*bound_port))}.ask("bound"), "bound");
  EXPECT_EQ(pool.stop(), 0);
  auto again = pool_process::serving_with({.adopt = {mine.fd()}, .workers = 1}, echo);
  EXPECT_EQ(asking_client{again.address()}.ask("again"), "again");  // the first pool has closed its duplicate only
  EXPECT_EQ(again.stop(), 0);
}

TEST(pool, an_address_that_is_given_twice_is_not_said_to_be_somebody_elses) {
  const auto port = [] {
    const datagram_socket free = datagram_socket::bind(address::parse("127.0.0.1:0"));
    return std::to_string(free.local().port());
  }();
  const auto why = [](std::vector<std::string> bind, setting v6only = setting::automatic) -> std::string {
    try {
      const worker_pool pool{{.bind = std::move(bind), .socket = {.v6only = v6only}}};
    } catch (const std::invalid_argument& refused) {
      return refused.what();
    }
    return "accepted";
  };
  const std::string here = "127.0.0.1:" + port, everywhere = "0.0.0.0:" + port;
  EXPECT_EQ(why({here, here}), here + " is given twice; name it once");
  EXPECT_EQ(why({here, "127.0.0.2:" + port, "other=" + here}), here + " is given twice; name it once");
  EXPECT_EQ(why({here, everywhere}),
            everywhere + " and " + here + " are both given, and each takes the port of the other; name one of them");
  EXPECT_EQ(why({"127.0.0.1:0", "127.0.0.1:0"}), "accepted");  // two ports
  EXPECT_THAT(why({"127.0.0.1:0", "127.0.0.1:0"}, setting::on), HasSubstr("no address here is of IPv6"));
  if (has_ipv6()) {
    const std::string all = "[::]:" + port;
    EXPECT_THAT(why({all, everywhere}), HasSubstr(everywhere + " and " + all + " are both given"));
    EXPECT_THAT(why({here, all}), HasSubstr(all + " and " + here + " are both given"));
    EXPECT_EQ(why({all, everywhere}, setting::on), "accepted");
  }
  const datagram_socket others = datagram_socket::bind(address::parse(everywhere));
  EXPECT_THROW(worker_pool({.bind = {here}}), std::system_error);  // which names the owner
  if (has_ipv6()) {
    EXPECT_THROW(worker_pool({.bind = {"[::]:" + port, everywhere}, .socket = {.v6only = setting::on}}),
                 std::system_error);
  }
}

TEST(pool, buffers_that_are_smaller_than_asked_for_are_logged_of_all_sockets) {
  constexpr std::size_t much = std::size_t{3} << 30;  // of which no kernel gives all
  const datagram_socket mine = datagram_socket::bind(address::parse("127.0.0.1:0"));
  std::vector<std::string> said;
  const worker_pool pool{
      {.bind = {"127.0.0.1:0"},
       .adopt = {mine.fd()},
       .socket = {.receive_buffer = much, .send_buffer = much},
       .log = [&](const pool_event& event) { said.push_back(std::string{event.name} + ": " + event.text); }}};
  std::vector<std::string> expected;
  for (const datagram_socket& socket : pool.sockets()) {
    const std::string where = socket.local().to_string();
    expected.push_back("receive-buffer: " + where + ": " + socket.receive_buffer().shortfall());
    expected.push_back("send-buffer: " + where + ": " + socket.send_buffer().shortfall());
  }
  EXPECT_EQ(expected.size(), 4u);
  EXPECT_THAT(said, testing::UnorderedElementsAreArray(expected));
  EXPECT_THAT(said, testing::Each(HasSubstr("asked 3 GiB")));
}

TEST(pool, names_of_sockets_are_names) {
  for (const char* bad : {"=127.0.0.1:0", "@x=127.0.0.1:0", "+x=127.0.0.1:0", "a\tb=127.0.0.1:0"}) {
    EXPECT_THROW(worker_pool{pool_options{.bind = {bad}}}, std::exception) << bad;
  }
  EXPECT_NO_THROW(worker_pool{pool_options{.bind = {"name=127.0.0.1:0"}}});
}

TEST(pool, the_log_says_who_died_how_when_and_after_how_much) {
  auto pool = pool_process::serving_with({.workers = 1}, echo);
  const asking_client client{pool.address()};
  for (int asked = 0; asked < 3; ++asked) EXPECT_EQ(client.ask("x"), "x");
  const pid_t victim = pool.workers().at(0);
  ASSERT_TRUE(eventually([&] { return pool.status().workers.at(0).traffic->all.handled == 3; }));
  ::kill(victim, SIGKILL);
  EXPECT_TRUE(pool.says("worker-died: worker 0 (pid " + std::to_string(victim) + ") was killed by signal 9 (Killed)"));
  EXPECT_TRUE(pool.says("and 3 datagrams by its own count; another is started")) << pool.log();
  EXPECT_EQ(client.ask("y"), "y");
  EXPECT_EQ(pool.stop(), 0);
}

TEST(pool, workers_that_die_young_are_started_at_a_bounded_rate) {
  auto pool = pool_process::serving_with(
      {.workers = 1, .restart = {.first_delay = 50ms, .longest_delay = 400ms, .crash_limit = 3}},
      [](datagram& received) {
        if (received.text() == "die") ::_exit(9);
        echo(received);
      });
  const asking_client client{pool.address()};
  const auto begin = std::chrono::steady_clock::now();
  std::size_t sent = 0;
  while (std::chrono::steady_clock::now() - begin < 1500ms) {
    client.send("x");
    client.send("die");
    ++sent;
    std::this_thread::sleep_for(5ms);
    while (!client.receive(0ms).empty()) continue;
  }
  // 50 + 100 + 200 + 400 + 400 ms: each served one, so that this is no crash loop.
  const std::size_t deaths = pool.count("worker-died: ");
  EXPECT_GE(deaths, 2u) << pool.log();
  EXPECT_LE(deaths, 7u) << pool.log();
  EXPECT_FALSE(pool.has_said("crash-loop"));
  EXPECT_EQ(pool.stop(), 0) << pool.log();
}

TEST(pool, a_poison_file_on_a_full_disk_is_an_error_in_the_log_and_nothing_more) {
  const std::string file = temporary_path("poison-full");
  // Files may become no larger than it is already, and the kernel says so as it does of a full disk.
  constexpr rlim_t size = 1 << 20;
  { std::ofstream{file} << std::string(size, '\n'); }
  std::filesystem::permissions(file, std::filesystem::perms{0600});
  auto pool =
      pool_process{{.workers = 2, .redeliver = redelivery{.most = 0, .poison_file = file}}, [](worker_pool& made) {
                     std::signal(SIGXFSZ, SIG_IGN);
                     const rlimit full{size, size};
                     EXPECT_EQ(::setrlimit(RLIMIT_FSIZE, &full), 0);
                     return made.serve([](datagram& received) {
                       if (received.text() == "poison") ::_exit(3);
                       echo(received);
                     });
                   }};
  const asking_client client{pool.address()};
  client.send("poison");
  EXPECT_TRUE(pool.says("poison-file: poison file \"" + file + "\": File too large; "));
  EXPECT_EQ(client.ask("water"), "water");
  EXPECT_EQ(pool.status().redelivery->poisoned, 1u);
  EXPECT_EQ(pool.stop(), 0);
}

TEST_P(pool_of, workers_that_are_refused_end_the_start_with_a_reason_and_leave_nothing) {
  shared<pool_report> report;
  child_process parent{[&] {
    const rlimit none{0, 0};
    ::setrlimit(RLIMIT_NPROC, &none);
    if (::geteuid() == 0 && ::setresuid(65534, 65534, 65534) != 0) return 91;  // root has no such limit
    try {
      worker_pool pool{{.bind = {"127.0.0.1:0"}, .workers = 2, .model = GetParam()}};
      return pool.serve(echo);
    } catch (const std::system_error& refused) {
      report->note("refused", refused.what());
      return refused.code() == std::errc::resource_unavailable_try_again ? 92 : 93;
    }
  }};
  EXPECT_EQ(parent.join(), 92);
  EXPECT_TRUE(report->says("; raise the limit on ")) << report->log();
}

TEST(pool, forks_that_are_refused_later_are_tried_again) {
  shared<pool_report> report;
  child_process parent{[&] {
    std::optional<fault::injection> refused;
    // Once, while a worker is to be started in the place of the first that died.
    const auto log = [&](const pool_event& event) {
      report->note(event.name, event.text);
      if (event.name == "worker-died" && !refused)
        refused.emplace(fault::rule{.call = "fork", .error = EAGAIN, .times = 1});
    };
    worker_pool pool{{.bind = {"127.0.0.1:0"}, .workers = 2, .restart = {.longest_delay = 100ms}, .log = log}};
    report->port = pool.sockets()[0].local().port();
    return pool.serve([](datagram& received) {
      if (received.text() == "die") ::_exit(7);
      echo(received);
    });
  }};
  ASSERT_TRUE(eventually([&] { return report->says("serving: "); }));
  const asking_client client{address::parse("127.0.0.1:" + std::to_string(report->port.load()))};
  client.send("die");
  EXPECT_TRUE(eventually([&] { return report->says("start-failed: worker "); })) << report->log();
  EXPECT_EQ(client.ask("one is left"), "one is left");
  EXPECT_TRUE(eventually([&] { return pool_status::of(parent.pid()).workers.size() == 2; }));
  ::kill(parent.pid(), SIGTERM);
  EXPECT_EQ(parent.join(), 0) << report->log();
}

TEST(pool, privileges_are_dropped_for_good) {
  if (::geteuid() != 0) GTEST_SKIP() << "requires root";
  auto pool = pool_process::serving_with(
      {.workers = 1, .become = {.user = "nobody", .no_new_privileges = true}}, [](datagram& received) {
        std::ifstream about{"/proc/self/status"};
        std::string line;
        std::string told;
        while (std::getline(about, line)) {
          if (line.rfind("Uid:", 0) == 0 || line.rfind("Gid:", 0) == 0 || line.rfind("Groups:", 0) == 0 ||
              line.rfind("NoNewPrivs:", 0) == 0 || line.rfind("CapEff:", 0) == 0) {
            told += line + '\n';
          }
        }
        received.reply(told);
      });
  const asking_client client{pool.address()};
  EXPECT_THAT(
      client.ask("who"),
      AllOf(HasSubstr("Uid:\t65534\t65534\t65534\t65534"), HasSubstr("Gid:\t65534\t65534\t65534\t65534"),
            HasSubstr("CapEff:\t0000000000000000"), HasSubstr("NoNewPrivs:\t1"), HasSubstr("Groups:\t65534 \n")));
  EXPECT_EQ(pool.stop(), 0);
}

TEST(pool, workers_have_their_cores_nice_level_and_limits) {
  auto pool = pool_process::serving_with(
      {.workers = 2, .pin = true, .nice = 7, .limits = {{RLIMIT_CORE, 0, 0}}}, [](datagram& received) {
        cpu_set_t mask;
        ::sched_getaffinity(0, sizeof mask, &mask);
        rlimit core{};
        ::getrlimit(RLIMIT_CORE, &core);
        received.reply(std::to_string(CPU_COUNT(&mask)) + ' ' + std::to_string(::getpriority(PRIO_PROCESS, 0)) + ' ' +
                       std::to_string(core.rlim_max));
      });
  const asking_client client{pool.address()};
  EXPECT_EQ(client.ask("what have you"), "1 7 0");
  EXPECT_EQ(pool.stop(), 0);
}

TEST(pool, workers_are_pinned_to_cores_in_turn) {
  cpu_set_t usable;
  ASSERT_EQ(::sched_getaffinity(0, sizeof usable, &usable), 0);
  const std::size_t workers = std::min(4, CPU_COUNT(&usable));
  shared<std::array<std::atomic<int>, CPU_SETSIZE>> pinned;
  auto pool = pool_process{{.workers = workers, .pin = true}, [&pinned](worker_pool& made) {
                             return made.run([&pinned](worker& self) {
                               cpu_set_t own;
                               ::sched_getaffinity(0, sizeof own, &own);
                               for (int core = 0; core < CPU_SETSIZE; ++core) {
                                 if (CPU_ISSET(core, &own)) ++(*pinned)[static_cast<std::size_t>(core)];
                               }
                               static_cast<void>(self.serve(echo));
                             });
                           }};
  static_cast<void>(pool.address());
  std::size_t used = 0;
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    const int times = (*pinned)[static_cast<std::size_t>(core)];
    EXPECT_LE(times, 1) << "core " << core;
    EXPECT_TRUE(times == 0 || CPU_ISSET(core, &usable)) << "core " << core;
    used += static_cast<std::size_t>(times);
  }
  EXPECT_EQ(used, workers);
  EXPECT_EQ(pool.stop(), 0);
}

/// How many of this process's descriptors are of that kind, as /proc calls it.
std::size_t descriptors_called(const std::string& kind) {
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator{"/proc/self/fd"}) {
    std::error_code gone;  // the iterator's own
    count += std::filesystem::read_symlink(entry, gone).string().find(kind) != std::string::npos;
  }
  return count;
}

TEST(pool, workers_have_none_of_the_parents_own_descriptors) {
  const std::string file = temporary_path("watched-by-the-parent");
  std::ofstream{file} << "x";
  const std::size_t sockets = descriptors_called("socket:");
  auto pool = pool_process::serving_with(
      {.workers = 1, .reload_on_change = {file}, .take_over = temporary_path("parents-path")},
      [sockets](datagram& received) {
        received.reply(std::to_string(descriptors_called("signalfd")) + " signalfd, " +
                       std::to_string(descriptors_called("inotify")) + " inotify, " +
                       std::to_string(descriptors_called("socket:") - sockets) + " socket");
      });
  const asking_client client{pool.address()};
  EXPECT_EQ(client.ask("what have you"), "0 signalfd, 0 inotify, 1 socket");
  EXPECT_EQ(pool.stop(), 0);
  std::remove(file.c_str());
}

TEST(pool, a_file_that_changes_starts_a_reload) {
  const std::string file = temporary_path("watched");
  std::ofstream{file} << "old";
  auto pool = pool_process::serving_with({.workers = 2, .reload_on_change = {file}}, echo);
  const asking_client client{pool.address()};
  const auto before = pool.workers();
  std::ofstream{file + ".new"} << "new";
  ASSERT_EQ(std::rename((file + ".new").c_str(), file.c_str()), 0);
  EXPECT_TRUE(pool.says("reloaded: "));
  EXPECT_THAT(pool.workers(), testing::Each(testing::Not(testing::AnyOfArray(before))));
  EXPECT_EQ(client.ask("new"), "new");
  EXPECT_EQ(pool.stop(), 0);
  std::remove(file.c_str());
}

TEST(pool, a_reload_whose_new_worker_dies_is_given_up_and_the_old_ones_serve_on) {
  shared<std::atomic<bool>> broken;
  auto pool = pool_process{{.workers = 2}, [&broken](worker_pool& made) {
                             return made.run([&broken](worker& self) {
                               if (broken->load()) throw std::runtime_error{"a bad configuration"};
                               static_cast<void>(self.serve(echo));
                             });
                           }};
  const asking_client client{pool.address()};
  const auto before = pool.workers();
  *broken = true;
  pool.signal(SIGHUP);
  EXPECT_TRUE(pool.says("reload-failed: "));
  EXPECT_TRUE(eventually([&] { return pool.workers() == before; }))
      << "the dead one's page is given back a moment later";
  EXPECT_EQ(client.ask("still"), "still");
  EXPECT_EQ(pool.status().reloads, 0u);
  *broken = false;
  pool.signal(SIGHUP);
  EXPECT_TRUE(pool.says("reloaded: "));
  EXPECT_EQ(pool.status().reloads, 1u);
  EXPECT_EQ(pool.stop(), 0);
}

TEST(pool, options_out_of_range_are_refused_before_anything_is_bound) {
  const auto why = [](pool_options options) -> std::string {
    options.bind = {"127.0.0.1:0"};
    const std::size_t before = open_descriptors();
    try {
      const worker_pool pool{std::move(options)};
    } catch (const std::exception& refused) {
      EXPECT_EQ(open_descriptors(), before);
      return refused.what();
    }
    return "accepted";
  };
  EXPECT_THAT(why({.workers = 100'000}), HasSubstr("too many"));
  EXPECT_THAT(why({.nice = 20}), HasSubstr("-20 and 19"));
  EXPECT_THAT(why({.socket = {.receive_offload = true}, .redeliver = redelivery{}}), HasSubstr("exclude each other"));
  EXPECT_THAT(why({.model = worker_model::threads, .reexecute = true}), HasSubstr("processes"));
  EXPECT_THAT(why({.become = {.user = "nobody-of-this-name"}}), HasSubstr("is not known here"));
  EXPECT_THAT(why({.redeliver = redelivery{.poison_file = "/nowhere/at/all"}}), HasSubstr("/nowhere/at/all"));
  EXPECT_THAT(why({.become = {.user = "4294967295", .group = "1"}}), HasSubstr("is nobody"));
  EXPECT_THAT(why({.become = {.group = "4294967295"}}), HasSubstr("is nobody"));
  EXPECT_THAT(why({.restart = {.crash_limit = 0}}), HasSubstr("crash_limit"));
  EXPECT_THAT(why({.stop_timeout = -1s}), HasSubstr("negative"));
  EXPECT_THAT(why({.adopt = {0}, .reexecute = true}), HasSubstr("adopt and reexecute exclude each other"));
  EXPECT_THAT(why({.adopt = {0}, .take_over = "/run/x"}), HasSubstr("adopt and take_over exclude each other"));
  EXPECT_THAT(why({.adopt = {-1}}), HasSubstr("descriptor -1 is no open socket"));
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  const detail::descriptor one{ends[0]}, other{ends[1]};
  EXPECT_THAT(why({.adopt = {ends[0]}}), HasSubstr("is a stream socket; give a datagram socket"));
  {
    ::setenv("UDPPUMP_WAITER", "magic", 1);
    EXPECT_THAT(why({}), HasSubstr("UDPPUMP_WAITER is \"magic\"; set it to auto, epoll, uring, thread or poll"));
    EXPECT_THAT(why({.model = worker_model::threads}), HasSubstr("UDPPUMP_WAITER is \"magic\""));
    EXPECT_EQ(why({.waiter = waiter_kind::thread}), "accepted");  // then nobody asks for it
    ::unsetenv("UDPPUMP_WAITER");
  }
  EXPECT_EQ(why({}), "accepted");
  EXPECT_THROW(worker_pool{pool_options{}}, std::invalid_argument);
}

TEST(pool, a_program_is_looked_up_before_anything_else) {
  const auto code = [](std::vector<std::string> command) -> int {
    try {
      const worker_program program{std::move(command)};
      return 0;
    } catch (const std::system_error& refused) {
      return refused.code().value();
    }
  };
  EXPECT_EQ(code({"sh"}), 0);
  EXPECT_EQ(code({"a-program-of-no-such-name"}), ENOENT);
  EXPECT_EQ(code({"/nowhere/at/all"}), ENOENT);
  EXPECT_EQ(code({"/etc/passwd"}), EACCES);
  EXPECT_EQ(code({"/"}), EACCES);
  EXPECT_EQ(code({}), EINVAL);
}

TEST(pool, usable_cores_is_within_what_the_machine_has) {
  EXPECT_GE(usable_cores(), 1u);
  EXPECT_LE(usable_cores(), std::max(1u, std::thread::hardware_concurrency()));
  child_process pinned{[] {
    cpu_set_t one;
    CPU_ZERO(&one);
    cpu_set_t all;
    ::sched_getaffinity(0, sizeof all, &all);
    int first = 0;
    while (!CPU_ISSET(first, &all)) ++first;
    CPU_SET(first, &one);
    ::sched_setaffinity(0, sizeof one, &one);
    return usable_cores() == 1 ? 0 : 1;
  }};
  EXPECT_EQ(pinned.join(), 0);
}

}  // namespace
