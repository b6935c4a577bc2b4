#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <udppump/pump.hpp>
#include <vector>

#include "support/fault.hpp"
#include "support/process.hpp"
#include "support/serve.hpp"
#include "support/sockets.hpp"
#include "support/waiters.hpp"

using namespace udppump;
using namespace std::chrono_literals;

namespace {

class pump_under : public every_waiter {
 protected:
  void send(std::string_view text) const { ASSERT_FALSE(client.send(text)); }
  void send_numbers(int count) const {
    for (int number = 0; number < count; ++number) send(std::to_string(number));
  }
  /// What a plain receiver finds in the socket.
  std::string receive_by_hand() const { return received(socket, 0ms).value_or("nothing"); }

  datagram_socket socket = bound();
  datagram_socket client = datagram_socket::connect(socket.local());
};
UDPPUMP_UNDER_EVERY_WAITER(pump_under);

TEST_P(pump_under, a_datagram_comes_with_its_sender_and_payload) {
  std::string text, from;
  pump pump{
      socket, [&](datagram& received) { text = received.text(), from = received.from.to_string(); }, {}, GetParam()};
  send("hello");
  ASSERT_TRUE(serve_until(pump, [&] { return !text.empty(); }));
  EXPECT_EQ(text, "hello");
  EXPECT_EQ(from, client.local().to_string());
  EXPECT_EQ(&pump.socket(), &socket);
  EXPECT_EQ(pump.waiter().kind, in_loop(GetParam()));
  EXPECT_EQ(pump.waiter().fallback.empty(), GetParam() != waiter_kind::epoll) << pump.waiter().fallback;
}

TEST_P(pump_under, wake_fd_is_readable_from_the_start_and_quiet_once_nothing_is_there) {
  pump pump{socket, [](datagram&) {}, {}, GetParam()};
  EXPECT_TRUE(readable(pump.wake_fd()));
  settle(pump);
  EXPECT_FALSE(readable(pump.wake_fd(), 20ms));
  send("wake up");
  EXPECT_TRUE(readable(pump.wake_fd(), patience));
  settle(pump);
  EXPECT_FALSE(readable(pump.wake_fd(), 20ms));
  EXPECT_EQ(pump.stats().received, 1u);
}

TEST_P(pump_under, spaced_datagrams_cost_one_wake_up_each_and_none_is_empty) {
  int received = 0;
  pump pump{socket, [&](datagram&) { ++received; }, {}, GetParam()};
  settle(pump);
  for (int sent = 1; sent <= 50; ++sent) {
    send("one at a time");
    ASSERT_TRUE(serve_until(pump, [&] { return received == sent; }));
    settle(pump);
  }
  EXPECT_EQ(pump.stats().wakeups, 50u);
  EXPECT_EQ(pump.stats().empty_wakeups, 0u);
}

TEST_P(pump_under, nothing_is_taken_before_the_handler_is_free_for_it) {
  std::string seen_in_the_kernel;
  pump pump{socket,
            [&](datagram& received) {
              if (received.text() == "0") seen_in_the_kernel = receive_by_hand();
            },
            {},
            GetParam()};
  send_numbers(3);
  ASSERT_TRUE(serve_until(pump, [&] { return pump.stats().received == 2; }));
  EXPECT_EQ(seen_in_the_kernel, "1");
}

TEST_P(pump_under, a_budget_of_datagrams_ends_the_dispatch_and_leaves_wake_fd_readable) {
  pump pump{socket, [](datagram&) {}, {.budget_datagrams = 4, .budget_time = 10s}, GetParam()};
  send_numbers(10);
  ASSERT_FALSE(pump.dispatch());
  EXPECT_EQ(pump.stats().received, 4u);
  EXPECT_TRUE(readable(pump.wake_fd()));
  EXPECT_EQ(pump.stats().budget_yields, 1u);
  ASSERT_FALSE(pump.dispatch());
  EXPECT_EQ(pump.stats().received, 8u);
  ASSERT_TRUE(serve_until(pump, [&] { return pump.stats().received == 10; }));
  settle(pump);
  EXPECT_FALSE(readable(pump.wake_fd()));
}

TEST_P(pump_under, a_budget_of_time_is_checked_after_each_datagram) {
  pump pump{socket, [](datagram&) { std::this_thread::sleep_for(2ms); }, {.budget_time = 1ms}, GetParam()};
  send_numbers(3);
  ASSERT_FALSE(pump.dispatch());
  EXPECT_EQ(pump.stats().received, 1u);
  EXPECT_TRUE(readable(pump.wake_fd()));
  EXPECT_GE(pump.stats().handler_time, 2ms);
}

TEST_P(pump_under, empty_datagrams_are_delivered_and_cost_budget) {
  std::size_t empty = 0;
  pump pump{socket,
            [&](datagram& received) { empty += received.payload.empty() && !received.from.is_none(); },
            {.budget_datagrams = 5, .budget_time = 10s},
            GetParam()};
  for (int sent = 0; sent < 12; ++sent) send("");
  ASSERT_FALSE(pump.dispatch());
  EXPECT_EQ(empty, 5u);
  ASSERT_TRUE(serve_until(pump, [&] { return empty == 12; }));
  EXPECT_EQ(pump.stats().bytes, 0u);
}

TEST_P(pump_under, a_datagram_over_the_limit_is_cut_and_says_how_long_it_was) {
  for (const bool with_control_data : {false, true}) {
    datagram_socket here = bound({.receive_time = with_control_data});
    std::vector<std::pair<std::size_t, std::size_t>> sizes;
    pump pump{here,
              [&](datagram& received) {
                sizes.emplace_back(received.payload.size(), received.real_size);
                EXPECT_EQ(received.truncated(), received.real_size > 100);
                EXPECT_EQ(received.receive_time.has_value(), with_control_data);
              },
              {.receive_limit = 100},
              GetParam()};
    ASSERT_FALSE(client.send_to(std::string(100, 'x'), here.local()));
    ASSERT_FALSE(client.send_to(std::string(9000, 'x'), here.local()));
    ASSERT_TRUE(serve_until(pump, [&] { return sizes.size() == 2; }));
    EXPECT_EQ(sizes[0], (std::pair<std::size_t, std::size_t>{100, 100}));
    EXPECT_EQ(sizes[1], (std::pair<std::size_t, std::size_t>{100, 9000}));
    EXPECT_EQ(pump.stats().truncated, 1u);
    EXPECT_EQ(pump.stats().bytes, 200u);  // what was cut off is not counted
  }
}

TEST_P(pump_under, the_largest_datagram_comes_whole) {
  const std::string large(65'507, 'L');
  std::string text;
  pump pump{socket, [&](datagram& received) { text = received.text(); }, {}, GetParam()};
  send(large);
  ASSERT_TRUE(serve_until(pump, [&] { return !text.empty(); }));
  EXPECT_TRUE(text == large);
}

TEST_P(pump_under, stop_inside_the_handler_delivers_nothing_more_and_leaves_the_rest_in_the_kernel) {
  int received = 0;
  pump pump{socket, [&](datagram&) { ++received, pump.stop(); }, {}, GetParam()};
  send_numbers(3);
  ASSERT_FALSE(pump.dispatch());
  ASSERT_FALSE(pump.dispatch());
  EXPECT_EQ(received, 1);
  EXPECT_TRUE(pump.stopped());
  EXPECT_FALSE(readable(pump.wake_fd()));
  EXPECT_EQ(receive_by_hand(), "1");
  EXPECT_EQ(receive_by_hand(), "2");
}

TEST_P(pump_under, after_stop_no_handler_starts_and_stopping_again_does_nothing) {
  int received = 0;
  pump pump{socket, [&](datagram&) { ++received; }, {}, GetParam()};
  settle(pump);
  send("too late");
  ASSERT_TRUE(readable(pump.wake_fd(), patience));
  pump.stop();
  pump.stop();
  ASSERT_FALSE(pump.dispatch());
  ASSERT_FALSE(pump.run());
  EXPECT_EQ(received, 0);
  EXPECT_EQ(receive_by_hand(), "too late");
}

TEST_P(pump_under, a_stopped_pump_takes_no_wake_up_from_the_others) {
  int first = 0, second = 0;
  pump stopped{socket, [&](datagram&) { ++first; }, {}, GetParam()};
  pump other{socket, [&](datagram&) { ++second; }, {}, GetParam()};
  settle(stopped);  // armed first, so the kernel would wake it first
  settle(other);
  stopped.stop();
  send("for the other");
  ASSERT_TRUE(serve_until(other, [&] { return second == 1; }));
  EXPECT_EQ(first, 0);
}

TEST_P(pump_under, a_destroyed_pump_takes_no_wake_up_from_the_others) {
  int received = 0;
  for (int round = 0; round < 20; ++round) {
    auto destroyed = std::make_unique<pump>(
        socket, [](datagram&) { ADD_FAILURE() << "destroyed"; }, pump_options{}, GetParam());
    pump other{socket, [&](datagram&) { ++received; }, {}, GetParam()};
    settle(*destroyed);
    settle(other);
    destroyed.reset();
    send("for the other");
    ASSERT_TRUE(serve_until(other, [&] { return received == round + 1; })) << "round " << round;
  }
}

TEST_P(pump_under, stop_comes_back_when_another_took_the_datagram_that_the_wake_up_was_for) {
  for (int round = 0; round < 50; ++round) {
    pump pump{socket, [](datagram&) { ADD_FAILURE() << "stopped"; }, {}, GetParam()};
    settle(pump);
    send("taken by another");
    ASSERT_TRUE(readable(pump.wake_fd(), patience));
    EXPECT_EQ(receive_by_hand(), "taken by another");
    pump.stop();
  }
}

TEST_P(pump_under, a_busy_pump_takes_no_wake_up_from_an_idle_one) {
  bool idle_served = false;
  pump idle{socket, [&](datagram&) { idle_served = true; }, {}, GetParam()};
  pump busy{socket,
            [&](datagram&) {
              settle(idle);
              send("second");  // the busy one must not be woken for this
              EXPECT_TRUE(serve_until(idle, [&] { return idle_served; }));
            },
            {},
            GetParam()};
  settle(busy);
  send("first");
  ASSERT_TRUE(serve_until(busy, [&] { return busy.stats().received == 1; }));
  EXPECT_TRUE(idle_served);
}

TEST_P(pump_under, a_pump_may_be_destroyed_in_its_own_handler) {
  const auto alive = std::make_shared<int>(0);
  int received = 0;
  std::unique_ptr<pump> pump;
  pump = std::make_unique<udppump::pump>(
      socket,
      [&received, &pump, alive](datagram& one) {
        ++received;
        pump.reset();
        EXPECT_EQ(alive.use_count(), 2) << "the handler outlives its call";
        EXPECT_EQ(one.text(), "0");
        EXPECT_FALSE(one.reply("still here"));
      },
      pump_options{}, GetParam());
  send_numbers(2);
  ASSERT_FALSE(pump->dispatch());
  EXPECT_EQ(received, 1);
  EXPECT_EQ(alive.use_count(), 1);
  EXPECT_TRUE(readable(client.fd(), patience));
  EXPECT_EQ(receive_by_hand(), "1");
}

TEST_P(pump_under, run_ends_with_stop_in_the_handler) {
  int received = 0;
  pump pump{socket,
            [&](datagram&) {
              if (++received == 3) pump.stop();
            },
            {},
            GetParam()};
  send_numbers(5);
  EXPECT_FALSE(pump.run());
  EXPECT_EQ(received, 3);
  EXPECT_EQ(receive_by_hand(), "3");
}

TEST_P(pump_under, run_ends_with_request_stop_from_another_thread) {
  std::atomic<bool> served{false};
  pump pump{socket, [&](datagram&) { served = true; }, {}, GetParam()};
  std::thread other{[&] {
    send("hello");
    EXPECT_TRUE(eventually([&] { return served.load(); }));
    pump.request_stop();
  }};
  EXPECT_FALSE(pump.run());
  other.join();
  EXPECT_TRUE(pump.stopped());
}

TEST_P(pump_under, request_stop_before_run_or_dispatch_is_not_forgotten) {
  pump runs{socket, [](datagram&) {}, {}, GetParam()};
  runs.request_stop();
  EXPECT_FALSE(runs.run());
  pump dispatches{socket, [](datagram&) {}, {}, GetParam()};
  settle(dispatches);
  dispatches.request_stop();
  EXPECT_TRUE(readable(dispatches.wake_fd(), patience));
  EXPECT_FALSE(dispatches.dispatch());
  EXPECT_TRUE(dispatches.stopped());
  EXPECT_FALSE(readable(dispatches.wake_fd()));
}

TEST_P(pump_under, a_pump_that_is_asked_to_stop_first_serves_what_it_was_woken_for) {
  int received = 0;
  pump pump{socket, [&](datagram&) { ++received; }, {}, GetParam()};
  settle(pump);
  send("woken for this");
  ASSERT_TRUE(readable(pump.wake_fd(), patience));
  pump.request_stop();
  EXPECT_FALSE(pump.run());
  EXPECT_EQ(received, 1);
  EXPECT_TRUE(pump.stopped());
  send("too late");
  EXPECT_FALSE(pump.dispatch());
  EXPECT_EQ(receive_by_hand(), "too late");
}

pump* stopped_by_signal = nullptr;

TEST_P(pump_under, request_stop_works_in_a_signal_handler) {
  pump pump{socket, [](datagram&) {}, {}, GetParam()};
  stopped_by_signal = &pump;
  struct sigaction action {};
  action.sa_handler = [](int) { stopped_by_signal->request_stop(); };
  struct sigaction before {};
  ::sigaction(SIGUSR1, &action, &before);
  const auto runner = ::pthread_self();
  std::thread other{[&] {
    std::this_thread::sleep_for(20ms);  // most likely asleep in the kernel by now; right in any case
    ::pthread_kill(runner, SIGUSR1);
  }};
  EXPECT_FALSE(pump.run());
  other.join();
  ::sigaction(SIGUSR1, &before, nullptr);
}

TEST_P(pump_under, a_pump_is_made_on_one_thread_and_served_on_another) {
  int received = 0;
  pump pump{socket,
            [&](datagram&) {
              if (++received == 2) pump.stop();
            },
            {},
            GetParam()};
  const int wake_fd = pump.wake_fd();
  std::thread other{[&] { EXPECT_FALSE(pump.run()); }};
  send_numbers(2);
  other.join();
  EXPECT_EQ(received, 2);
  EXPECT_EQ(pump.wake_fd(), wake_fd);
}

TEST_P(pump_under, a_pump_whose_thread_has_ended_is_destroyed_elsewhere_and_leaves_no_waiter) {
  int received = 0;
  {
    pump pump{socket, [](datagram&) { ADD_FAILURE() << "ended"; }, {}, GetParam()};
    std::thread{[&] { settle(pump); }}.join();
  }
  pump other{socket, [&](datagram&) { ++received; }, {}, GetParam()};
  settle(other);
  send("hello");
  EXPECT_TRUE(serve_until(other, [&] { return received == 1; }));
}

TEST_P(pump_under, a_pump_whose_thread_has_ended_takes_no_wake_up_from_the_others) {
  int received = 0;
  pump ended{socket, [](datagram&) { ADD_FAILURE() << "ended"; }, {}, GetParam()};
  std::thread{[&] { settle(ended); }}.join();
  pump other{socket, [&](datagram&) { ++received; }, {}, GetParam()};
  settle(other);
  send("hello");
  EXPECT_TRUE(serve_until(other, [&] { return received == 1; }));
}

TEST_P(pump_under, a_second_thread_is_refused) {
  pump pump{socket, [](datagram&) {}, {}, GetParam()};
  settle(pump);
  std::thread{[&] {
    EXPECT_EQ(pump.dispatch(), errc::wrong_thread);
    EXPECT_EQ(pump.run(), errc::wrong_thread);
  }}.join();
  EXPECT_FALSE(pump.dispatch());
}

TEST_P(pump_under, run_inside_the_handler_is_refused) {
  std::error_code ran;
  pump pump{socket, [&](datagram&) { ran = pump.run(); }, {}, GetParam()};
  send("hello");
  ASSERT_TRUE(serve_until(pump, [&] { return pump.stats().received == 1; }));
  EXPECT_EQ(ran, errc::reentrant);
}

TEST_P(pump_under, a_handler_may_run_its_programs_loop_which_then_sleeps) {
  int inside = 0, most_inside = 0, dispatched = 0;
  std::error_code failed;
  std::string taken;
  const auto loop_for = [&](pump& served, std::chrono::milliseconds time) {
    const auto until = std::chrono::steady_clock::now() + time;
    while (std::chrono::steady_clock::now() < until) {
      if (!readable(served.wake_fd(), 5ms)) continue;
      ++dispatched;
      if (const auto why = served.dispatch()) failed = why;
    }
  };
  pump pump{socket,
            [&](datagram& received) {
              most_inside = std::max(most_inside, ++inside);
              taken += received.text();
              if (taken == "a") {
                send("b");  // comes while the loop below runs
                loop_for(pump, 100ms);
              }
              --inside;
            },
            {},
            GetParam()};
  send("a");
  ASSERT_TRUE(serve_until(pump, [&] { return taken == "ab"; }));
  EXPECT_EQ(most_inside, 1);
  EXPECT_FALSE(failed);
  EXPECT_LE(dispatched, 3) << "the loop in the handler spins";
}

TEST_P(pump_under, a_stop_that_a_handlers_loop_hears_of_ends_run) {
  pump pump{socket,
            [&](datagram&) {
              pump.request_stop();
              EXPECT_TRUE(readable(pump.wake_fd(), patience));
              EXPECT_FALSE(pump.dispatch());
              EXPECT_FALSE(readable(pump.wake_fd()));
            },
            {},
            GetParam()};
  send("a");
  EXPECT_FALSE(pump.run());
}

TEST_P(pump_under, spaced_datagrams_are_taken_without_asking_for_a_second) {
  if (GetParam() != waiter_kind::epoll && GetParam() != waiter_kind::uring) {
    GTEST_SKIP() << "arming tells only by way of a thread";
  }
  constexpr int warm_up = 20, datagrams = 40;
  constexpr int burst = 200;
  std::atomic<int> handled{0};
  std::atomic<bool> held{false};
  pump pump{socket,
            [&](datagram&) {
              ++handled;
              while (held) std::this_thread::sleep_for(1ms);
            },
            {.stand_by = 0ms},
            GetParam()};
  std::jthread serving{[&] { EXPECT_FALSE(pump.run()); }};
  const auto send_spaced = [&](int count) {
    for (int sent = 0; sent < count; ++sent) {
      const int before = handled;
      send("x");
      ASSERT_TRUE(eventually([&] { return handled > before; }));
      std::this_thread::sleep_for(1ms);  // it sleeps by then, mostly
    }
  };
  send_spaced(warm_up);
  {
    const fault::injection receives{{.call = "recvfrom", .error = EIO, .times = 0, .fd = socket.fd()}};
    send_spaced(datagrams);
    EXPECT_GE(receives.seen(), datagrams);
    EXPECT_LE(receives.seen(), datagrams * 3 / 2) << "it asks once more each time";
  }
  // What comes at once is still taken at once.
  held = true;
  handled = 0;
  send_numbers(burst);
  const char* const call = GetParam() == waiter_kind::epoll ? "epoll_wait" : "io_uring_submit_and_wait";
  const fault::injection waits{{.call = call, .error = EIO, .times = 0}};
  held = false;
  EXPECT_TRUE(eventually([&] { return handled == burst; }));
  EXPECT_LE(waits.seen(), burst / 2) << "it waits before each";
  pump.request_stop();
}

/// A loop that hears of edges only.
class edge_loop {
 public:
  explicit edge_loop(int watched) {
    epoll_event event{.events = EPOLLIN | EPOLLET, .data = {}};
    EXPECT_EQ(::epoll_ctl(set_, EPOLL_CTL_ADD, watched, &event), 0);
  }
  ~edge_loop() { ::close(set_); }
  edge_loop(const edge_loop&) = delete;
  edge_loop& operator=(const edge_loop&) = delete;

  template <class Condition>
  bool serve_until(pump& served, Condition holds) const {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    while (!holds()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      epoll_event event{};
      if (::epoll_wait(set_, &event, 1, 20) == 1 && served.dispatch()) return holds();
    }
    return true;
  }

 private:
  int set_ = ::epoll_create1(EPOLL_CLOEXEC);
};

TEST_P(pump_under, an_edge_triggered_loop_hears_of_all_that_a_budget_left) {
  for (const bool told : {false, true}) {
    int received = 0;
    pump pump{socket, [&](datagram&) { ++received; }, {.budget_datagrams = 1}, GetParam()};
    pump.edge_triggered(told);
    const edge_loop loop{pump.wake_fd()};
    for (int round = 1; round <= 3; ++round) {
      for (int sent = 0; sent < 20; ++sent) send("x");
      ASSERT_TRUE(loop.serve_until(pump, [&] { return received == 20 * round; })) << received;
    }
    pump.request_stop();
    EXPECT_TRUE(loop.serve_until(pump, [&] { return pump.stopped(); }));
  }
}

TEST_P(pump_under, an_edge_triggered_loop_hears_of_tickets_that_come_back_and_of_exceptions) {
  std::vector<ticket> tickets;
  int thrown = 0;
  pump pump{socket,
            [&](datagram& received) {
              if (received.text() == "throw") {
                ++thrown;
                throw std::runtime_error{"by the handler"};
              }
              tickets.push_back(received.hold());
            },
            {.max_in_flight = 2},
            GetParam()};
  pump.edge_triggered(true);
  const edge_loop loop{pump.wake_fd()};
  for (int sent = 0; sent < 4; ++sent) send("x");
  ASSERT_TRUE(loop.serve_until(pump, [&] { return tickets.size() == 2; }));
  tickets.clear();
  ASSERT_TRUE(loop.serve_until(pump, [&] { return tickets.size() == 2; }));
  tickets.clear();
  send("throw");
  send("x");
  EXPECT_THROW(loop.serve_until(pump, [&] { return false; }), std::runtime_error);
  EXPECT_TRUE(loop.serve_until(pump, [&] { return tickets.size() == 1; }));
  EXPECT_EQ(thrown, 1);
}

TEST_P(pump_under, run_and_an_event_loop_may_take_turns) {
  int received = 0;
  pump pump{socket,
            [&](datagram& one) {
              ++received;
              if (one.text() == "throw") throw std::runtime_error{"out of run"};
            },
            {},
            GetParam()};
  for (int round = 0; round < 3; ++round) {
    send("dispatch");
    ASSERT_TRUE(serve_until(pump, [&] { return received == 2 * round + 1; }));
    settle(pump);
    send("throw");
    EXPECT_THROW(static_cast<void>(pump.run()), std::runtime_error);
    EXPECT_EQ(received, 2 * round + 2);
  }
}

TEST_P(pump_under, tickets_bound_the_work_in_flight_and_leave_the_rest_to_others) {
  std::vector<ticket> tickets;
  pump pump{socket, [&](datagram& received) { tickets.push_back(received.hold()); }, {.max_in_flight = 2}, GetParam()};
  send_numbers(4);
  ASSERT_TRUE(serve_until(pump, [&] { return tickets.size() == 2; }));
  settle(pump);
  EXPECT_EQ(tickets.size(), 2u);
  EXPECT_EQ(pump.in_flight(), 2u);
  EXPECT_FALSE(readable(pump.wake_fd(), 20ms));
  EXPECT_EQ(receive_by_hand(), "2");
  std::thread{[&] { tickets[0].release(); }}.join();
  EXPECT_TRUE(readable(pump.wake_fd(), patience));
  ASSERT_TRUE(serve_until(pump, [&] { return tickets.size() == 3; }));
  EXPECT_EQ(pump.stats().in_flight, 2u);
  EXPECT_EQ(receive_by_hand(), "nothing");
}

TEST_P(pump_under, a_full_pump_takes_no_wake_up_from_the_others) {
  ticket held;
  int second = 0;
  pump full{socket, [&](datagram& received) { held = received.hold(); }, {.max_in_flight = 1}, GetParam()};
  settle(full);
  send("first");
  ASSERT_TRUE(serve_until(full, [&] { return static_cast<bool>(held); }));
  settle(full);
  pump other{socket, [&](datagram&) { ++second; }, {}, GetParam()};
  settle(other);
  send("second");
  EXPECT_TRUE(serve_until(other, [&] { return second == 1; }));
}

TEST_P(pump_under, tickets_released_on_another_thread_keep_run_going) {
  std::atomic<int> received{0};
  std::vector<std::thread> workers;
  pump pump{socket,
            [&](datagram& one) {
              workers.emplace_back([&, held = one.hold()]() mutable {
                std::this_thread::sleep_for(1ms);
                if (++received == 20) pump.request_stop();
                held.release();
              });
            },
            {.max_in_flight = 1},
            GetParam()};
  send_numbers(20);
  EXPECT_FALSE(pump.run());
  for (auto& worker : workers) worker.join();
  EXPECT_EQ(received, 20);
}

TEST_P(pump_under, run_sleeps_again_after_a_ticket_came_back) {
  std::atomic<int> received{0};
  std::mutex mutex;
  std::vector<ticket> held;  // under mutex
  pump pump{socket,
            [&](datagram& one) {
              const std::lock_guard lock{mutex};
              held.push_back(one.hold());
              ++received;
            },
            {.max_in_flight = 1},
            GetParam()};
  std::thread server{[&] { EXPECT_FALSE(pump.run()); }};
  for (int number = 1; number <= 2; ++number) {
    send("x");
    EXPECT_TRUE(eventually([&] { return received == number; }));
    const std::lock_guard lock{mutex};
    held.clear();  // wakes run(), which was full
  }
  const auto before = cpu_time();
  std::this_thread::sleep_for(200ms);
  EXPECT_LT(cpu_time() - before, 50ms);
  pump.request_stop();
  server.join();
}

TEST_P(pump_under, a_ticket_may_outlive_its_pump) {
  ticket held;
  {
    pump pump{socket, [&](datagram& received) { held = received.hold(); }, {.max_in_flight = 1}, GetParam()};
    send("hello");
    ASSERT_TRUE(serve_until(pump, [&] { return static_cast<bool>(held); }));
  }
  held.release();
  EXPECT_FALSE(held);
}

TEST_P(pump_under, an_exception_leaves_dispatch_and_the_next_datagram_is_served) {
  int received = 0;
  pump pump{socket,
            [&](datagram&) {
              if (++received == 1) throw std::runtime_error{"the first fails"};
            },
            {},
            GetParam()};
  send_numbers(2);
  EXPECT_THROW(static_cast<void>(pump.dispatch()), std::runtime_error);
  EXPECT_TRUE(readable(pump.wake_fd()));
  ASSERT_TRUE(serve_until(pump, [&] { return received == 2; }));
  EXPECT_EQ(pump.stats().received, 2u);
}

TEST_P(pump_under, on_exception_gets_what_the_handler_throws_and_the_pump_goes_on) {
  int received = 0;
  std::string thrown;
  pump pump{socket,
            [&](datagram&) {
              if (++received == 1) throw std::runtime_error{"the first fails"};
            },
            {.on_exception =
                 [&](std::exception_ptr what) {
                   try {
                     std::rethrow_exception(what);
                   } catch (const std::exception& error) {
                     thrown = error.what();
                   }
                 }},
            GetParam()};
  send_numbers(2);
  ASSERT_TRUE(serve_until(pump, [&] { return received == 2; }));
  EXPECT_EQ(thrown, "the first fails");
}

TEST_P(pump_under, a_handler_may_own_what_cannot_be_copied) {
  auto owned = std::make_unique<int>(0);
  int* const count = owned.get();
  pump pump{socket, [owned = std::move(owned)](datagram&) { ++*owned; }, {}, GetParam()};
  send("hello");
  EXPECT_TRUE(serve_until(pump, [&] { return *count == 1; }));
}

TEST_P(pump_under, a_handler_may_change_the_payload_in_place) {
  pump pump{socket,
            [](datagram& received) {
              for (auto& byte : received.payload) byte ^= std::byte{0x20};
              EXPECT_FALSE(received.reply(received.payload));
            },
            {},
            GetParam()};
  send("shout");
  ASSERT_TRUE(serve_until(pump, [&] { return readable(client.fd()); }));
  EXPECT_EQ(received(client), "SHOUT");
}

TEST_P(pump_under, a_socket_closed_under_the_pump_is_told_once_and_does_not_spin) {
  std::vector<receive_error> errors;
  pump pump{socket,
            [](datagram&) { ADD_FAILURE() << "closed"; },
            {.on_error = [&](const receive_error& error) { errors.push_back(error); }},
            GetParam()};
  const int closed = socket.release();
  ::close(closed);
  EXPECT_EQ(pump.dispatch(), std::errc::bad_file_descriptor);
  EXPECT_EQ(pump.dispatch(), std::errc::bad_file_descriptor);
  EXPECT_EQ(pump.run(), std::errc::bad_file_descriptor);
  ASSERT_EQ(errors.size(), 1u);
  EXPECT_EQ(errors[0].what, receive_error::kind::fatal);
  EXPECT_TRUE(pump.stopped());
}

TEST_P(pump_under, a_socket_shut_down_by_another_is_told_once_and_does_not_spin) {
  int pair[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair), 0);
  datagram_socket unix_pair = datagram_socket::adopt(pair[0]);
  const datagram_socket unix_peer = datagram_socket::adopt(pair[1]);
  datagram_socket udp = datagram_socket::connect(socket.local());
  for (datagram_socket* shut : {&unix_pair, &udp}) {
    int fatal = 0;
    pump pump{*shut,
              [](datagram&) {},
              {.on_error = [&](const receive_error& e) { fatal += e.what == receive_error::kind::fatal; }},
              GetParam()};
    settle(pump);
    if (shut == &unix_pair) {
      ASSERT_FALSE(unix_peer.send(""));  // an empty datagram of an unnamed peer looks almost the same
      ASSERT_TRUE(serve_until(pump, [&] { return pump.stats().received == 1; }));
      settle(pump);
    }
    ::shutdown(shut->fd(), SHUT_RD);
    EXPECT_TRUE(serve_until(pump, [&] { return fatal == 1; }));
    EXPECT_TRUE(pump.stopped());
    EXPECT_EQ(pump.stats().received, shut == &unix_pair ? 1u : 0u);
  }
}

TEST_P(pump_under, an_icmp_error_goes_to_on_error_with_its_peer_and_does_not_spin) {
  datagram_socket asker = bound({.icmp_errors = true});
  address dead;
  {
    const datagram_socket gone = bound();
    dead = gone.local();
  }
  std::vector<receive_error> errors;
  int received = 0;
  pump pump{asker,
            [&](datagram&) { ++received; },
            {.on_error = [&](const receive_error& error) { errors.push_back(error); }},
            GetParam()};
  settle(pump);
  ASSERT_FALSE(asker.send_to("anybody there?", dead));
  ASSERT_TRUE(serve_until(pump, [&] {
    return std::any_of(errors.begin(), errors.end(), [](const auto& e) { return e.what == receive_error::kind::icmp; });
  }));
  settle(pump);
  EXPECT_FALSE(readable(pump.wake_fd(), 20ms));
  for (const auto& error : errors) EXPECT_EQ(error.code, std::errc::connection_refused);
  for (const auto& error : errors) {
    if (error.what == receive_error::kind::icmp) {
      EXPECT_EQ(error.peer, dead);
    }
  }
  ASSERT_FALSE(client.send_to("I am", asker.local()));
  EXPECT_TRUE(serve_until(pump, [&] { return received == 1; }));
}

TEST_P(pump_under, an_icmp_error_on_a_dual_stack_socket_names_its_ipv4_peer_as_ipv4) {
  datagram_socket asker = [] {
    try {
      return bound({.icmp_errors = true}, "[::]:0");
    } catch (const std::system_error&) {
      return bound();
    }
  }();
  if (asker.family() != AF_INET6) GTEST_SKIP() << "no IPv6 here";
  address dead;
  {
    const datagram_socket gone = bound();
    dead = gone.local();
  }
  std::vector<address> peers;
  pump pump{asker,
            [](datagram&) {},
            {.on_error =
                 [&](const receive_error& error) {
                   if (error.what == receive_error::kind::icmp) peers.push_back(error.peer);
                 }},
            GetParam()};
  settle(pump);
  ASSERT_FALSE(asker.send_to("anybody there?", dead));
  ASSERT_TRUE(serve_until(pump, [&] { return !peers.empty(); }));
  EXPECT_EQ(peers, std::vector{dead});
}

TEST_P(pump_under, a_connected_sockets_refusal_is_an_error_and_not_a_datagram) {
  address dead;
  {
    const datagram_socket gone = bound();
    dead = gone.local();
  }
  datagram_socket asker = datagram_socket::connect(dead);
  std::vector<std::error_code> errors;
  pump pump{asker,
            [](datagram&) { ADD_FAILURE() << "nobody answers"; },
            {.on_error = [&](const receive_error& error) { errors.push_back(error.code); }},
            GetParam()};
  settle(pump);
  ASSERT_FALSE(asker.send("hello"));
  ASSERT_TRUE(serve_until(pump, [&] { return !errors.empty(); }));
  settle(pump);
  EXPECT_EQ(errors, std::vector<std::error_code>{std::make_error_code(std::errc::connection_refused)});
  EXPECT_FALSE(pump.stopped());
  ASSERT_EQ(pump.stats().errors.size(), 1u);
  EXPECT_EQ(pump.stats().errors[0].count, 1u);
}

TEST_P(pump_under, joined_datagrams_are_split_by_their_stride) {
  datagram_socket joined = bound_for_joined();
  if (!joined.control().segments) GTEST_SKIP() << "this kernel has no UDP_GRO";
  std::vector<std::string> texts;
  pump pump{
      joined, [&](datagram& received) { texts.emplace_back(received.text()); }, {.receive_limit = 1200}, GetParam()};
  std::string burst;
  for (int segment = 0; segment < 50; ++segment) burst += std::string(1200, static_cast<char>('A' + segment));
  burst += "the last is shorter";
  ASSERT_FALSE(client.send_to(burst, joined.local(), {.segment_size = 1200}));
  ASSERT_TRUE(serve_until(pump, [&] { return texts.size() == 51; }));
  for (int segment = 0; segment < 50; ++segment) {
    EXPECT_TRUE(texts[static_cast<std::size_t>(segment)] == std::string(1200, static_cast<char>('A' + segment)));
  }
  EXPECT_EQ(texts[50], "the last is shorter");
  EXPECT_EQ(pump.stats().truncated, 0u);
}

TEST_P(pump_under, stop_inside_a_joined_read_counts_what_it_discards) {
  datagram_socket joined = bound_for_joined();
  if (!joined.control().segments) GTEST_SKIP() << "this kernel has no UDP_GRO";
  pump pump{joined,
            [&](datagram&) {
              if (pump.stats().received == 3) pump.stop();
            },
            {},
            GetParam()};
  ASSERT_FALSE(client.send_to(std::string(10 * 100, 'x'), joined.local(), {.segment_size = 100}));
  ASSERT_TRUE(serve_until(pump, [&] { return pump.stopped(); }));
  int left = 0;
  while (received(joined, 0ms)) ++left;  // if the device did not join them
  EXPECT_EQ(pump.stats().received, 3u);
  if (left == 0) {
    EXPECT_EQ(pump.stats().discarded, 7u);
  }
}

TEST_P(pump_under, a_dual_stack_socket_speaks_of_ipv4_as_ipv4) {
  datagram_socket dual = [] {
    try {
      return bound({}, "[::]:0");
    } catch (const std::system_error&) {
      return bound();
    }
  }();
  if (dual.family() != AF_INET6) GTEST_SKIP() << "no IPv6 here";
  std::string from, to;
  pump pump{dual,
            [&](datagram& received) {
              from = received.from.to_string(), to = received.to.to_string();
              EXPECT_FALSE(received.reply("answer"));
            },
            {},
            GetParam()};
  const auto asker = datagram_socket::connect(address::parse("127.0.0.2:" + std::to_string(dual.local().port())));
  ASSERT_FALSE(asker.send("question"));
  ASSERT_TRUE(serve_until(pump, [&] { return readable(asker.fd()); }));
  EXPECT_EQ(from, asker.local().to_string());
  EXPECT_EQ(to, "127.0.0.2:" + std::to_string(dual.local().port()));
}

TEST_P(pump_under, kernel_drops_are_counted_once) {
  datagram_socket small = bound({.receive_buffer = 4096});
  std::uint64_t received = 0;
  pump pump{small, [&](datagram&) { ++received; }, {}, GetParam()};
  settle(pump);
  for (int sent = 0; sent < 500; ++sent) ASSERT_FALSE(client.send_to(std::string(500, 'x'), small.local()));
  ASSERT_TRUE(serve_until(pump, [&] { return pump.stats().kernel_drops + received == 500; }));
  EXPECT_GT(pump.stats().kernel_drops, 0u);
  EXPECT_EQ(pump.stats().kernel_drops + received, 500u) << "asking again counts nothing twice";
  udppump::pump later{small, [](datagram&) {}, {}, GetParam()};
  EXPECT_EQ(later.stats().kernel_drops, 0u) << "counted from the pump's making on";
}

TEST_P(pump_under, time_in_the_handler_is_measured) {
  pump pump{socket, [](datagram&) { std::this_thread::sleep_for(3ms); }, {.budget_time = 1s}, GetParam()};
  send_numbers(5);
  ASSERT_TRUE(serve_until(pump, [&] { return pump.stats().received == 5; }));
  EXPECT_GE(pump.stats().handler_time, 14ms);  // the cost of receiving is taken off
}

TEST_P(pump_under, an_unnamed_unix_peer_has_no_address_and_no_answer) {
  int pair[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair), 0);
  datagram_socket here = datagram_socket::adopt(pair[0]);
  const datagram_socket there = datagram_socket::adopt(pair[1]);
  bool none = false;
  pump pump{here, [&](datagram& received) { none = received.from.is_none(); }, {}, GetParam()};
  ASSERT_FALSE(there.send("hello"));
  ASSERT_TRUE(serve_until(pump, [&] { return pump.stats().received == 1; }));
  EXPECT_TRUE(none);
}

TEST_P(pump_under, bad_options_are_refused_and_nothing_is_left_open) {
  const std::size_t before = open_descriptors();
  const auto make = [&](pump_options chosen) { pump{socket, [](datagram&) {}, std::move(chosen), GetParam()}; };
  EXPECT_THROW(make({.receive_limit = 0}), std::invalid_argument);
  EXPECT_THROW(make({.receive_limit = std::size_t{1} << 40}), std::invalid_argument);
  EXPECT_THROW(make({.budget_datagrams = 0}), std::invalid_argument);
  EXPECT_THROW(make({.budget_time = 0ns}), std::invalid_argument);
  EXPECT_THROW(make({.budget_time = -1ns}), std::invalid_argument);
  datagram_socket moved = std::move(client);
  EXPECT_THROW((pump{client, [](datagram&) {}, {}, GetParam()}), std::system_error);
  client = std::move(moved);
  EXPECT_EQ(open_descriptors(), before);
}

TEST_P(pump_under, nothing_is_left_behind) {
  const std::size_t descriptors = open_descriptors();
  const std::size_t running = threads();
  for (int round = 0; round < 10; ++round) {
    pump pump{socket, [](datagram&) {}, {}, GetParam()};
    settle(pump);
    send("hello");
    ASSERT_TRUE(serve_until(pump, [&] { return pump.stats().received == 1; }));
  }
  EXPECT_EQ(open_descriptors(), descriptors);
  EXPECT_TRUE(eventually([&] { return threads() == running; }));
}

TEST_P(pump_under, control_data_that_does_not_fit_is_noticed_and_descriptors_sent_along_are_closed) {
  int pair[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair), 0);
  datagram_socket here = datagram_socket::adopt(pair[0], {.receive_time = true});
  const datagram_socket there = datagram_socket::adopt(pair[1]);
  int cut = 0;
  pump pump{here,
            [](datagram&) {},
            {.on_error = [&](const receive_error& e) { cut += e.what == receive_error::kind::control_truncated; }},
            GetParam()};
  settle(pump);
  const std::size_t before = open_descriptors();
  const auto inherited = [] {
    int count = 0;
    for (int fd = 0; fd < 1024; ++fd) {
      const int flags = ::fcntl(fd, F_GETFD);
      count += flags >= 0 && (flags & FD_CLOEXEC) == 0 ? 1 : 0;
    }
    return count;
  };
  const int inherited_before = inherited();
  const fault::injection closing{{.call = "close", .meanwhile = [&] {
                                    EXPECT_EQ(inherited(), inherited_before) << "by whoever is executed meanwhile";
                                  }}};
  std::uint64_t sent = 0;
  for (const std::size_t count : {3u, 200u}) {
    alignas(cmsghdr) char control[CMSG_SPACE(200 * sizeof(int))] = {};
    char byte = 'x';
    iovec part{&byte, 1};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(count * sizeof(int));
    cmsghdr* const rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(count * sizeof(int));
    for (std::size_t at = 0; at < count; ++at) {
      const int passed = socket.fd();
      std::memcpy(CMSG_DATA(rights) + at * sizeof passed, &passed, sizeof passed);
    }
    ASSERT_EQ(::sendmsg(there.fd(), &message, 0), 1) << std::strerror(errno);
    ++sent;
    ASSERT_TRUE(serve_until(pump, [&] { return pump.stats().received == sent; }));
    EXPECT_EQ(open_descriptors(), before);
  }
  EXPECT_GE(closing.seen(), 3);
  EXPECT_EQ(cut, 1);
  EXPECT_EQ(pump.stats().control_truncated, 1u);
}

TEST_P(pump_under, what_a_handler_writes_into_a_datagram_is_gone_in_the_next) {
  int received = 0;
  pump pump{socket,
            [&](datagram& one) {
              EXPECT_TRUE(one.source.local.is_none());
              EXPECT_EQ(one.ecn, ecn::not_ect);
              one.source.local = address::parse("127.0.0.9:0");
              one.ecn = ecn::ce;
              ++received;
            },
            {},
            GetParam()};
  send_numbers(3);
  ASSERT_TRUE(serve_until(pump, [&] { return received == 3; }));
}

TEST_P(pump_under, a_budget_without_limit_is_no_overflow) {
  pump pump{socket, [](datagram&) {}, {.budget_time = std::chrono::nanoseconds::max()}, GetParam()};
  send_numbers(3);
  ASSERT_TRUE(serve_until(pump, [&] { return pump.stats().received == 3; }));
}

TEST_P(pump_under, an_empty_handler_is_refused) {
  EXPECT_THROW((pump{socket, std::function<void(datagram&)>{}, {}, GetParam()}), std::invalid_argument);
  EXPECT_THROW((pump{socket, static_cast<void (*)(datagram&)>(nullptr), {}, GetParam()}), std::invalid_argument);
  static_assert(!std::is_constructible_v<handler, std::error_code (*)(datagram&)>, "a result would be lost");
}

TEST_P(pump_under, on_error_may_destroy_pump_and_socket) {
  auto gone = std::make_unique<datagram_socket>(datagram_socket::adopt(::dup(socket.fd())));
  std::unique_ptr<pump> pump;
  int errors = 0;
  pump = std::make_unique<udppump::pump>(
      *gone, [](datagram&) {},
      pump_options{.on_error =
                       [&](const receive_error&) {
                         ++errors;
                         pump.reset();
                         gone.reset();
                       }},
      GetParam());
  const fault::injection refused{{.call = "recvfrom", .error = EIO, .fd = gone->fd()}};
  EXPECT_FALSE(pump->dispatch());
  EXPECT_EQ(errors, 1);
}

TEST_P(pump_under, a_pump_whose_thread_has_ended_serves_on_no_other) {
  for (int round = 0; round < 5; ++round) {
    pump pump{socket, [](datagram&) {}, {}, GetParam()};
    std::thread{[&] { settle(pump); }}.join();
    // Most likely the same thread id again.
    std::thread{[&] { EXPECT_EQ(pump.dispatch(), errc::wrong_thread); }}.join();
  }
}

TEST_P(pump_under, a_socket_closed_while_the_pump_waits_ends_it_at_the_next_wake_up) {
  if (in_loop(GetParam()) == waiter_kind::thread) GTEST_SKIP() << "epoll forgets a closed descriptor, and never tells";
  int fatal = 0;
  pump pump{socket,
            [](datagram&) { ADD_FAILURE() << "closed"; },
            {.on_error = [&](const receive_error& e) { fatal += e.what == receive_error::kind::fatal; }},
            GetParam()};
  settle(pump);
  ::close(socket.release());
  send("the kernel still has the socket, for the waiter's sake");
  EXPECT_TRUE(serve_until(pump, [&] { return fatal == 1; }));
  EXPECT_TRUE(pump.stopped());
}

TEST_P(pump_under, a_socket_closed_under_it_while_another_has_it_costs_no_time) {
  pump pump{socket, [](datagram&) { ADD_FAILURE() << "closed"; }, {}, GetParam()};
  settle(pump);
  const int other = ::dup(socket.fd());
  ::close(socket.release());
  send("for whoever has it");
  static_cast<void>(readable(pump.wake_fd(), 50ms));
  static_cast<void>(pump.dispatch());
  const auto before = cpu_time();
  std::this_thread::sleep_for(200ms);
  EXPECT_LT(cpu_time() - before, 50ms);
  ::close(other);
}

TEST_P(pump_under, a_stopped_pumps_port_is_free_at_once) {
  const address local = socket.local();
  pump pump{socket, [](datagram&) {}, {}, GetParam()};
  settle(pump);
  pump.stop();
  ::close(socket.release());
  EXPECT_NO_THROW(static_cast<void>(datagram_socket::bind(local)));
}

TEST_P(pump_under, never_sets_o_nonblock_on_the_socket) {
  pump pump{socket, [](datagram&) {}, {}, GetParam()};
  settle(pump);
  EXPECT_EQ(::fcntl(socket.fd(), F_GETFL) & O_NONBLOCK, 0);
}

}  // namespace
