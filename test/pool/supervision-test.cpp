#include <gtest/gtest.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <fstream>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "pool/board.hpp"
#include "pool/file_watch.hpp"
#include "pool/service_manager.hpp"
#include "pool/stranded.hpp"
#include "support/asking_client.hpp"
#include "support/pool_process.hpp"
#include "sys/process_status.hpp"

using namespace udppump;
using namespace std::chrono_literals;

namespace {

TEST(supervision, never_fewer_than_all_serve_while_a_reload_waits_for_workers_that_start_slowly) {
  constexpr std::size_t workers = 2;
  shared<std::atomic<bool>> is_slow;
  auto pool = pool_process{{.workers = workers}, [&is_slow](worker_pool& made) {
                             return made.run([&is_slow](worker& self) {
                               if (is_slow->load()) std::this_thread::sleep_for(700ms);
                               static_cast<void>(self.serve(echo));
                             });
                           }};
  const asking_client client{pool.address()};
  *is_slow = true;
  pool.signal(SIGHUP);
  const auto serving = [&pool] {
    const auto all = pool.status().workers;
    return static_cast<std::size_t>(std::count_if(all.begin(), all.end(), [](const auto& one) {
      return one.state == worker_state::idle || one.state == worker_state::handling;
    }));
  };
  std::size_t fewest = 100;
  const auto begin = std::chrono::steady_clock::now();
  ASSERT_TRUE(eventually([&] {
    // A snapshot is not of one instant: it may see the new one too early and the old one too late.
    fewest = std::min(fewest, std::max({serving(), serving(), serving()}));
    return pool.has_said("reloaded: ");
  })) << pool.log();
  EXPECT_GE(std::chrono::steady_clock::now() - begin, workers * 700ms) << "nobody started slowly";
  EXPECT_EQ(fewest, workers);
  EXPECT_EQ(client.ask("still there"), "still there");
  EXPECT_EQ(pool.stop(), 0);
}

TEST(supervision, the_pool_serves_once_all_of_its_workers_do) {
  shared<std::atomic<int>> started;
  shared<std::atomic<bool>> may_serve;
  auto pool = pool_process{{.workers = 2}, [&](worker_pool& made) {
                             return made.run([&](worker& self) {
                               if (++*started == 2) eventually([&] { return may_serve->load(); });
                               static_cast<void>(self.serve(echo));
                             });
                           }};
  ASSERT_TRUE(eventually([&] { return *started == 2; })) << pool.log();
  ASSERT_TRUE(eventually([&] {
    const auto all = pool.status().workers;
    return std::any_of(all.begin(), all.end(), [](const auto& one) { return one.state == worker_state::idle; });
  })) << pool.log();
  EXPECT_FALSE(eventually([&] { return pool.has_said("serving: "); }, 200ms)) << "said too early, if it is said now";
  *may_serve = true;
  EXPECT_TRUE(pool.says("serving: 2 workers serve ")) << pool.log();
  EXPECT_EQ(pool.stop(), 0);
}

/// The field of /proc/PID/status that a worker of this pool has.
std::string field_of_worker(const pool_process& pool, std::string_view field) {
  return detail::status_of_process(pool.workers().at(0), field);
}

TEST(supervision, a_signal_that_nobody_expects_does_not_end_the_pool_and_its_sender_is_named) {
  const std::string sender = " from process " + std::to_string(::getpid()) + " of user " + std::to_string(::getuid());
  for (const auto& [signal, name] : std::vector<std::pair<int, std::string>>{{SIGUSR1, "SIGUSR1"},
                                                                             {SIGALRM, "SIGALRM"},
                                                                             {SIGVTALRM, "SIGVTALRM"},
                                                                             {SIGPROF, "SIGPROF"},
                                                                             {SIGPIPE, "SIGPIPE"},
                                                                             {SIGIO, "SIGIO"},
                                                                             {SIGPWR, "SIGPWR"},
                                                                             {SIGSTKFLT, "SIGSTKFLT"},
                                                                             {SIGXCPU, "SIGXCPU"},
                                                                             {SIGXFSZ, "SIGXFSZ"},
                                                                             {40, "signal 40"}}) {
    auto pool = pool_process::serving_with({.workers = 1}, echo);
    const asking_client client{pool.address()};
    pool.signal(signal);
    EXPECT_TRUE(pool.says("signal-ignored: " + name + sender + " means nothing here, and is ignored")) << pool.log();
    EXPECT_EQ(client.ask("still there"), "still there");
    EXPECT_EQ(pool.stop(), 0);
  }
}

TEST(supervision, who_sends_signals_without_end_fills_no_log_and_whom_he_names_is_not_believed) {
  auto pool = pool_process::serving_with({.workers = 1}, echo);
  static_cast<void>(pool.address());
  siginfo_t forged{};
  forged.si_code = SI_QUEUE;
  forged.si_pid = 1;
  for (int sent = 0; sent < 200; ++sent) {
    ASSERT_EQ(::syscall(SYS_rt_sigqueueinfo, pool.pid(), SIGRTMIN + 3, &forged), 0) << errno;
  }
  pool.signal(SIGHUP);
  EXPECT_TRUE(pool.says("reloaded: ")) << pool.log();
  EXPECT_TRUE(pool.has_said("from a process that is not known means nothing here")) << pool.log();
  EXPECT_FALSE(pool.has_said("process 1")) << pool.log();
  EXPECT_LE(pool.count("signal-ignored"), 5u) << pool.log();
  EXPECT_EQ(pool.stop(), 0);
}

TEST(supervision, a_timer_of_the_process_itself_ends_it_as_whoever_set_it_wants) {
  auto pool = pool_process{{.workers = 1}, [](worker_pool& made) {
                             const itimerval soon{{}, {0, 200'000}};
                             EXPECT_EQ(::setitimer(ITIMER_REAL, &soon, nullptr), 0);
                             return made.serve(echo);
                           }};
  static_cast<void>(pool.address());
  EXPECT_EQ(pool.join(), 128 + SIGALRM);
}

TEST(supervision, a_worker_starts_with_the_signals_that_the_parent_found) {
  const auto found = [](std::string_view field) { return detail::status_of_process(::getpid(), field); };
  auto program = pool_process{{.workers = 1}, [](worker_pool& made) {
                                return made.run(worker_program{{"sleep", "600"}});
                              }};
  static_cast<void>(program.address());
  const pid_t worker = program.workers().at(0);
  EXPECT_TRUE(eventually([&] { return field_of_worker(program, "Name") == "sleep"; }));
  for (const char* const field : {"SigBlk", "SigIgn"}) EXPECT_EQ(field_of_worker(program, field), found(field));
  ::kill(worker, SIGUSR1);
  EXPECT_TRUE(program.says("was killed by signal " + std::to_string(SIGUSR1))) << program.log();
  EXPECT_EQ(program.stop(), 0);

  auto fork = pool_process::serving_with({.workers = 1}, echo);
  static_cast<void>(fork.address());
  EXPECT_EQ(field_of_worker(fork, "SigBlk"), found("SigBlk"));
  ::kill(fork.workers().at(0), SIGUSR1);
  EXPECT_TRUE(fork.says("was killed by signal " + std::to_string(SIGUSR1))) << fork.log();
  EXPECT_EQ(fork.stop(), 0);
}

TEST(supervision, a_worker_that_never_lives_does_not_end_those_that_do) {
  auto pool = pool_process{{.workers = 3, .restart = {.first_delay = 1ms, .longest_delay = 20ms, .crash_limit = 3}},
                           [](worker_pool& made) {
                             return made.run([](worker& self) {
                               if (self.number() == 1) throw std::runtime_error{"no page left"};
                               static_cast<void>(self.serve(echo));
                             });
                           }};
  ASSERT_TRUE(eventually([&] { return pool.has_said("serving: 2 of 3 workers serve "); })) << pool.log();
  EXPECT_EQ(pool.count("worker-lost: worker 1 cannot be kept alive; 3 times in a row without serving a datagram"), 1u)
      << pool.log();
  const asking_client client{pool.address()};
  EXPECT_EQ(client.ask("hello"), "hello");
  ASSERT_TRUE(eventually([&] { return pool.count("worker-died: worker 1 ") > 6; })) << "it is not tried again";
  EXPECT_EQ(pool.count("worker-lost: "), 1u);
  EXPECT_EQ(client.ask("still"), "still");
  EXPECT_EQ(pool.stop(), 0) << pool.log();
}

TEST(supervision, a_worker_that_could_not_be_kept_is_one_of_them_again_once_it_lives) {
  shared<std::atomic<bool>> may_live;
  auto pool = pool_process{{.workers = 2, .restart = {.first_delay = 1ms, .longest_delay = 5ms, .crash_limit = 2}},
                           [&may_live](worker_pool& made) {
                             return made.run([&may_live](worker& self) {
                               if (self.number() == 0 && !may_live->load()) throw std::runtime_error{"not yet"};
                               static_cast<void>(self.serve(echo));
                             });
                           }};
  ASSERT_TRUE(eventually([&] { return pool.has_said("serving: 1 of 2 workers serve "); })) << pool.log();
  *may_live = true;
  const auto serve = [&pool] {
    const auto all = pool.status().workers;
    return std::count_if(all.begin(), all.end(), [](const auto& one) { return one.state == worker_state::idle; });
  };
  EXPECT_TRUE(eventually([&] { return serve() == 2; })) << pool.log();
  pool.signal(SIGHUP);
  EXPECT_TRUE(eventually([&] { return pool.has_said("reloaded: reloaded 2 workers"); })) << pool.log();
  EXPECT_EQ(pool.stop(), 0) << pool.log();
}

TEST(supervision, a_pool_none_of_whose_workers_can_be_kept_ends_although_it_has_served) {
  shared<std::atomic<bool>> is_broken;
  auto pool = pool_process{
      {.workers = 2, .restart = {.healthy_after = 1h, .first_delay = 1ms, .longest_delay = 5ms, .crash_limit = 3}},
      [&is_broken](worker_pool& made) {
        return made.run([&is_broken](worker& self) {
          if (is_broken->load()) throw std::runtime_error{"broken"};
          static_cast<void>(self.serve(echo));
        });
      }};
  ASSERT_TRUE(eventually([&] { return pool.has_said("serving: 2 workers serve "); })) << pool.log();
  *is_broken = true;
  for (const auto& one : pool.status().workers) {
    if (one.pid != 0) ::kill(one.pid, SIGKILL);
  }
  EXPECT_EQ(pool.join(), static_cast<int>(pool_result::crash_loop)) << pool.log();
  EXPECT_TRUE(pool.has_said("crash-loop: ")) << pool.log();
}

// Workers that die a while after they have begun to serve.
TEST(supervision, a_reload_whose_new_workers_die_before_they_have_proven_themselves_changes_nothing) {
  shared<std::atomic<bool>> is_broken;
  auto pool = pool_process{{.workers = 4, .reload_width = 3, .prove_for = 1h}, [&is_broken](worker_pool& made) {
                             return made.run([&is_broken](worker& self) {
                               std::thread fault;
                               if (is_broken->load() && self.number() == 1) {
                                 fault = std::thread{[] {
                                   std::this_thread::sleep_for(100ms);
                                   ::_exit(7);
                                 }};
                               }
                               static_cast<void>(self.serve(echo));
                             });
                           }};
  const asking_client client{pool.address()};
  const auto before = pool.workers();
  *is_broken = true;
  pool.signal(SIGHUP);
  EXPECT_TRUE(pool.says("reload-failed: the reload was given up at worker 1: the new worker died before it had proven"))
      << pool.log();
  EXPECT_TRUE(eventually([&] { return pool.workers() == before; })) << "the new ones of 0 and 2 are told to stop";
  EXPECT_EQ(client.ask("still"), "still");
  EXPECT_EQ(pool.count("worker-ended: "), 2u) << pool.log();
  EXPECT_EQ(pool.status().restarts, 0u);
  EXPECT_EQ(pool.stop(), 0) << pool.log();
}

TEST(supervision, a_reload_replaces_as_many_as_it_may_and_each_old_one_goes_when_its_new_one_has_proven_itself) {
  auto pool = pool_process::serving_with({.workers = 5, .reload_width = 2, .prove_for = 200ms}, echo);
  static_cast<void>(pool.address());
  const auto begin = std::chrono::steady_clock::now();
  pool.signal(SIGHUP);
  std::size_t most = 0;
  EXPECT_TRUE(eventually([&] {
    most = std::max(most, pool.workers().size());
    return pool.has_said("reloaded: reloaded 5 workers");
  })) << pool.log();
  EXPECT_EQ(most, 7u);
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 3 * 200ms);
  EXPECT_EQ(pool.stop(), 0);
}

TEST(supervision, a_new_worker_has_proven_itself_when_it_has_served_enough) {
  auto pool = pool_process::serving_with({.workers = 1, .restart = {.healthy_after_datagrams = 3}, .prove_for = 1h},
                                         [](datagram& received) {
                                           std::this_thread::sleep_for(5ms);
                                           echo(received);
                                         });
  const asking_client client{pool.address()};
  pool.signal(SIGHUP);
  ASSERT_TRUE(eventually([&] { return pool.workers().size() == 2; })) << pool.log();
  // While one is busy, the other takes what comes.
  EXPECT_TRUE(eventually([&] {
    for (int sent = 0; sent < 3; ++sent) client.send("x");
    return client.ask("x") == "x" && pool.has_said("reloaded: ");
  })) << pool.log();
  EXPECT_EQ(pool.stop(), 0);
}

TEST(supervision, a_reload_that_is_asked_for_during_another_follows_it) {
  shared<std::atomic<int>> started;
  shared<std::atomic<bool>> may_serve;
  auto pool = pool_process{{.workers = 1}, [&](worker_pool& made) {
                             return made.run([&](worker& self) {
                               if (++*started == 2) eventually([&] { return may_serve->load(); });
                               static_cast<void>(self.serve(echo));
                             });
                           }};
  static_cast<void>(pool.address());
  pool.signal(SIGHUP);
  ASSERT_TRUE(eventually([&] { return *started == 2; })) << "the first reload waits for this one";
  pool.signal(SIGHUP);
  *may_serve = true;
  EXPECT_TRUE(eventually([&] { return pool.status().reloads == 2; })) << pool.log();
  EXPECT_EQ(*started, 3);
  EXPECT_EQ(pool.stop(), 0);
}

TEST(supervision, workers_that_end_when_told_to_end_and_those_that_do_not_die) {
  auto pool = pool_process::serving_with({.workers = 2}, [](datagram& received) {
    if (received.text() == "die") ::_exit(9);
    echo(received);
  });
  const asking_client client{pool.address()};
  pool.signal(SIGHUP);
  EXPECT_TRUE(pool.says("reloaded: ")) << pool.log();
  EXPECT_TRUE(eventually([&] { return pool.count("worker-ended: ") == 2; })) << pool.log();
  EXPECT_FALSE(pool.has_said("worker-died: ")) << pool.log();
  EXPECT_EQ(pool.status().restarts, 0u);
  client.send("die");
  EXPECT_TRUE(pool.says("worker-died: "));
  EXPECT_TRUE(eventually([&] { return pool.status().workers.size() == 2; }));
  EXPECT_EQ(pool.stop(), 0);
  EXPECT_EQ(pool.count("worker-ended: "), 4u) << pool.log();
  EXPECT_EQ(pool.count("worker-died: "), 1u) << pool.log();
}

TEST(supervision, however_many_workers_die_there_is_room_for_the_next) {
  auto pool = pool_process::serving_with({.workers = 1, .restart = {.first_delay = 1ms, .longest_delay = 1ms}},
                                         [](datagram& received) {
                                           if (received.text() == "die") ::_exit(9);
                                           echo(received);
                                         });
  const asking_client client{pool.address()};
  for (std::size_t deaths = 1; deaths <= 10; ++deaths) {
    EXPECT_EQ(client.ask("alive"), "alive") << "after " << deaths - 1 << " deaths: " << pool.log();
    client.send("die");
    ASSERT_TRUE(eventually([&] { return pool.count("worker-died: ") == deaths; })) << pool.log();
    ASSERT_FALSE(pool.has_said("start-failed: ")) << pool.log();
  }
  EXPECT_EQ(pool.stop(), 0);
}

TEST(supervision, a_thread_that_cannot_be_ended_is_left_and_the_program_goes_on) {
  auto pool = pool_process{{.workers = 2, .model = worker_model::threads, .stop_timeout = 50ms}, [](worker_pool& made) {
                             const int result = made.serve([](datagram&) { std::this_thread::sleep_for(10min); });
                             return result == static_cast<int>(pool_result::killed) ? 42 : result;
                           }};
  const asking_client client{pool.address()};
  client.send("hold this for long");
  ASSERT_TRUE(eventually([&] {
    const auto all = pool.status().workers;
    return std::any_of(all.begin(), all.end(), [](const auto& one) { return one.state == worker_state::handling; });
  }));
  EXPECT_EQ(pool.stop(), 42) << pool.log();
  EXPECT_TRUE(pool.has_said("is a thread, and cannot be killed: the pool ends without it")) << pool.log();
  EXPECT_EQ(pool.count("worker-ended: "), 1u) << "the other one ended as it should";
}

TEST(supervision, an_expectation_that_fails_in_a_worker_reaches_the_parent) {
  auto pool = pool_process{{.workers = 1}, [](worker_pool& made) {
                             return made.run(told_to_the_parent([](worker& self) {
                               static_cast<void>(self.serve(echo));
                               EXPECT_TRUE(false) << "this failure is meant";
                             }));
                           }};
  static_cast<void>(pool.address());
  EXPECT_EQ(pool.stop(), 0);
  EXPECT_TRUE(pool.has_said("status 1")) << pool.log();
  EXPECT_TRUE(pool.has_said("an expectation in the worker failed")) << pool.log();
}

/// A worker that is full has all its tickets out, and is not kicked. When it died, its page is another's.
TEST(supervision, the_successor_of_a_worker_that_was_full_is_still_woken) {
  auto socket = datagram_socket::bind(address::parse("127.0.0.1:0"));
  const auto client = datagram_socket::connect(socket.local());
  std::vector<datagram_socket> sockets;
  sockets.push_back(std::move(socket));
  detail::board shared{1, 0};
  detail::stranded_watch watch{shared, sockets};
  ASSERT_FALSE(client.send("waits"));
  ASSERT_TRUE(readable(sockets[0].fd()));
  const auto kicked = [&watch] {
    const auto now = detail::stranded_watch::clock::now();
    watch.arrived(now);
    return watch.kick_idle_workers(now) + watch.kick_idle_workers(now + 2ms);
  };
  const std::size_t page = shared.claim(0);
  shared.page(page).state = detail::page_state::serving;
  EXPECT_EQ(kicked(), 1u);
  shared.page(page).full = 1;
  EXPECT_EQ(kicked(), 0u);
  shared.release(page);
  ASSERT_EQ(shared.claim(0), page);
  shared.page(page).state = detail::page_state::serving;
  EXPECT_EQ(kicked(), 1u);
}

TEST(supervision, memory_of_another_version_of_the_pool_is_not_believed) {
  const detail::board shared{2, 64};
  auto& header = shared.header();
  const auto is_believed = [&header] { return detail::board_header::geometry_of(header).has_value(); };
  EXPECT_TRUE(is_believed());
  for (const std::uint32_t other : {detail::layout_version - 1, detail::layout_version + 1}) {
    header.version = other;
    EXPECT_FALSE(is_believed()) << other;
  }
  header.version = detail::layout_version;
  EXPECT_TRUE(is_believed());
  header.magic[0] ^= 1;
  EXPECT_FALSE(is_believed());
}

TEST(supervision, of_the_files_in_a_folder_only_those_named_are_watched) {
  const std::string watched = temporary_path("watched-file");
  const std::string other = watched + "-other";
  std::ofstream{watched} << "old";
  detail::file_watch watch{{watched}};
  std::ofstream{other} << "new";
  EXPECT_EQ(watch.changed(), "");
  std::ofstream{watched} << "written";
  EXPECT_EQ(watch.changed(), watched);
  EXPECT_EQ(watch.changed(), "") << "told before";
  ASSERT_EQ(std::rename(other.c_str(), watched.c_str()), 0);
  EXPECT_EQ(watch.changed(), watched);
  std::remove(watched.c_str());
  EXPECT_EQ(watch.changed(), "");
}

TEST(supervision, the_watchdog_is_fed_twice_in_the_time_that_it_allows) {
#if !defined(UDPPUMP_HAS_SYSTEMD)
  GTEST_SKIP() << "built without libsystemd";
#endif
  constexpr std::chrono::milliseconds allowed = 1s;
  const std::string name = temporary_path("watchdog");
  const auto manager = datagram_socket::bind(address::parse("unix:" + name));
  ::setenv("NOTIFY_SOCKET", name.c_str(), 1);
  ::setenv("WATCHDOG_USEC", std::to_string(std::chrono::microseconds{allowed}.count()).c_str(), 1);
  auto pool = pool_process::serving_with({.workers = 1}, echo);
  ::unsetenv("NOTIFY_SOCKET");
  ::unsetenv("WATCHDOG_USEC");
  static_cast<void>(pool.address());
  std::vector<std::chrono::steady_clock::time_point> beats;
  std::array<std::byte, 512> buffer{};
  while (beats.size() < 6) {
    const auto came = manager.receive(buffer, patience);
    if (!came) break;
    if (came.text() != "WATCHDOG=1") continue;
    beats.push_back(std::chrono::steady_clock::now());
  }
  ASSERT_EQ(beats.size(), 6u);
  // By the median: on a busy machine some are seen late, and the next ones so much sooner after them.
  std::vector<std::chrono::steady_clock::duration> gaps;
  for (std::size_t beat = 1; beat < beats.size(); ++beat) gaps.push_back(beats[beat] - beats[beat - 1]);
  std::ranges::nth_element(gaps, gaps.begin() + 2);
  EXPECT_LT(gaps[2], allowed * 8 / 10);
  EXPECT_GT(gaps[2], allowed * 2 / 10);
  EXPECT_EQ(pool.stop(), 0);
  ::unlink(name.c_str());
}

TEST(supervision, what_a_service_manager_whose_queue_is_full_did_not_take_is_said_again_at_the_end) {
  const std::string name = temporary_path("full");
  const auto manager = datagram_socket::bind(address::parse("unix:" + name));
  ::setenv("NOTIFY_SOCKET", name.c_str(), 1);
  detail::service_manager told;
  const auto is_full = [&told] { return told.says_again_at() != detail::service_manager::clock::time_point::max(); };
  for (int line = 0; line < 100'000 && !is_full(); ++line) told.main_process(line, "another");
  EXPECT_TRUE(is_full());
  told.stopping("stopping");
  std::array<std::byte, 512> buffer{};
  std::size_t heard = 0;
  while (const auto came = manager.receive(buffer, 0ms)) {
    EXPECT_NE(came.text(), "STOPPING=1\nSTATUS=stopping");
    ++heard;
  }
  EXPECT_GT(heard, 0u);
  told.say_the_rest();
  ::unsetenv("NOTIFY_SOCKET");
  std::string last;
  while (const auto came = manager.receive(buffer, 0ms)) last = came.text();
  EXPECT_EQ(last, "STOPPING=1\nSTATUS=stopping");
  ::unlink(name.c_str());
}

}  // namespace
