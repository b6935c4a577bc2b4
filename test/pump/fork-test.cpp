#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <udppump/pump.hpp>
#include <udppump/pump_group.hpp>
#include <vector>

#include "support/process.hpp"
#include "support/serve.hpp"
#include "support/socket_setup.hpp"
#include "support/waiters.hpp"

using namespace udppump;
using namespace std::chrono_literals;

namespace {

class forked_under : public every_waiter {
 protected:
  /// Sends and checks that this process's pump gets it.
  testing::AssertionResult serves(pump& pump, const char* text) {
    const auto before = pump.stats().received;
    if (client.send(text)) return testing::AssertionFailure() << "send";
    if (!serve_until(pump, [&] { return pump.stats().received == before + 1; }))
      return testing::AssertionFailure() << text;
    settle(pump);
    return testing::AssertionSuccess();
  }

  datagram_socket socket = bound();
  datagram_socket client = datagram_socket::connect(socket.local());
};
UDPPUMP_UNDER_EVERY_WAITER(forked_under);

TEST_P(forked_under, a_pump_from_before_the_fork_says_so_in_the_child_once_and_the_parents_goes_on) {
  int errors = 0;
  std::error_code told;
  pump pump{
      socket, [](datagram&) {}, {.on_error = [&](const receive_error& e) { ++errors, told = e.code; }}, GetParam()};
  settle(pump);
  child_process child{[&] {
    const bool refused = pump.dispatch() == errc::made_before_fork && pump.run() == errc::made_before_fork &&
                         pump.dispatch() == errc::made_before_fork;
    return refused && errors == 1 && told == errc::made_before_fork ? 0 : 1;
  }};
  EXPECT_EQ(child.join(), 0);
  EXPECT_TRUE(serves(pump, "the parent's"));
  EXPECT_EQ(errors, 0);
}

TEST_P(forked_under, stopping_or_destroying_it_in_the_child_leaves_the_parents_alone) {
  auto pump = std::make_unique<udppump::pump>(
      socket, [](datagram&) {}, pump_options{}, GetParam());
  settle(*pump);
  child_process stops{[&] {
    pump->stop();
    return 0;
  }};
  EXPECT_EQ(stops.join(), 0);
  EXPECT_TRUE(serves(*pump, "after stop in the child"));
  child_process destroys{[&] {
    pump.reset();
    return 0;
  }};
  EXPECT_EQ(destroys.join(), 0);
  EXPECT_TRUE(serves(*pump, "after destruction in the child"));
}

/// What the parent's waiter had is free in the child: its ring's memory is not mapped there, and a new thread may be
/// given the stack and the id of the waiter's.
TEST_P(forked_under, destroying_it_in_the_child_spares_what_the_child_has_made_since) {
  auto pump = std::make_unique<udppump::pump>(
      socket, [](datagram&) {}, pump_options{}, GetParam());
  settle(*pump);
  child_process child{[&] {
    std::vector<char*> pages;
    for (int count = 0; count < 64; ++count) {
      void* const page = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      if (page == MAP_FAILED) return 1;
      *static_cast<char*>(page) = 'x';
      pages.push_back(static_cast<char*>(page));
    }
    std::atomic<bool> may_end{false};
    std::thread other{[&] {
      while (!may_end) std::this_thread::sleep_for(1ms);
    }};
    pump.reset();
    may_end = true;
    other.join();
    std::thread{[] {}}.join();
    for (const char* const page : pages) {
      if (*page != 'x') return 2;
    }
    return 0;
  }};
  EXPECT_EQ(child.join(), 0);
  EXPECT_TRUE(serves(*pump, "for the parent"));
}

TEST_P(forked_under, after_fork_makes_it_usable_in_the_child_with_a_wake_fd_of_its_own) {
  std::string text;
  std::optional<ticket> held;
  pump pump{socket, [&](datagram& one) { text = one.text(), held = one.hold(); }, {.max_in_flight = 1}, GetParam()};
  settle(pump);
  ASSERT_TRUE(serves(pump, "with a ticket out"));
  ASSERT_EQ(pump.in_flight(), 1u);
  child_process child{[&] {
    static_cast<void>(pump.dispatch());  // refused, which must not matter later
    const int before = pump.wake_fd();
    pump.after_fork();
    pump.after_fork();
    if (pump.wake_fd() == before && !readable(before)) return 1;
    if (pump.in_flight() != 0) return 2;
    if (pump.waiter().kind != in_loop(GetParam())) return 3;
    if (client.send("for the child") || !serve_until(pump, [&] { return text == "for the child"; })) return 4;
    return 0;
  }};
  EXPECT_EQ(child.join(), 0);
  EXPECT_EQ(pump.in_flight(), 1u);
  held.reset();
  EXPECT_TRUE(serves(pump, "for the parent"));
  held.reset();
  pump.after_fork();  // does nothing here
  EXPECT_TRUE(serves(pump, "again"));
}

TEST_P(forked_under, after_a_fork_on_another_thread_that_thread_serves_in_the_child) {
  std::string text;
  pump pump{socket, [&](datagram& one) { text = one.text(); }, {}, GetParam()};
  ASSERT_TRUE(serves(pump, "on this thread"));
  std::thread{[&] {
    child_process child{[&] {
      pump.after_fork();
      if (client.send("for the child") || !serve_until(pump, [&] { return text == "for the child"; })) return 1;
      return 0;
    }};
    EXPECT_EQ(child.join(), 0);
  }}.join();
  EXPECT_TRUE(serves(pump, "on this thread again"));
}

TEST_P(forked_under, a_fork_inside_the_handler_leaves_the_child_without_the_parents_ring) {
  pid_t made = -1;
  pump pump{socket,
            [&](datagram&) {
              if (made < 0) made = fork_when_others_sleep();
            },
            {},
            GetParam()};
  settle(pump);
  ASSERT_FALSE(client.send("fork now"));
  ASSERT_TRUE(readable(pump.wake_fd(), patience));
  const auto result = pump.dispatch();
  if (made == 0) ::_exit(result == errc::made_before_fork && pump.dispatch() == errc::made_before_fork ? 0 : 1);
  ASSERT_GT(made, 0);
  int status = -1;
  ASSERT_TRUE(eventually([&] { return ::waitpid(made, &status, WNOHANG) == made; }));
  EXPECT_EQ(status, 0);
  EXPECT_FALSE(result);
  settle(pump);
  EXPECT_TRUE(serves(pump, "for the parent"));
}

TEST_P(forked_under, a_fork_inside_the_handler_leaves_what_is_queued_to_the_parent) {
  shared<std::atomic<int>> in_the_child;
  pid_t made = -1;
  int received = 0;
  pump pump{socket,
            [&](datagram&) {
              if (made == 0) ++*in_the_child;
              if (++received == 1) made = fork_when_others_sleep();
            },
            {},
            GetParam()};
  for (int sent = 0; sent < 5; ++sent) ASSERT_FALSE(client.send("x"));
  const auto result = pump.dispatch();
  if (made == 0) ::_exit(result == errc::made_before_fork ? 0 : 1);
  int status = -1;
  ASSERT_TRUE(eventually([&] { return ::waitpid(made, &status, WNOHANG) == made; }));
  EXPECT_EQ(status, 0);
  EXPECT_EQ(*in_the_child, 0);
  EXPECT_TRUE(serve_until(pump, [&] { return received == 5; }));
}

TEST_P(forked_under, after_fork_inside_the_handler_lets_the_child_serve_on) {
  shared<std::atomic<int>> served;
  for (const bool in_run : {true, false}) {
    *served = 0;
    child_process outer{[&] {
      pid_t made = -1;
      pump pump{socket,
                [&](datagram& one) {
                  if (one.text() == "fork") {
                    made = fork_when_others_sleep();
                    if (made == 0) pump.after_fork();
                    return;
                  }
                  ++*served;
                  pump.stop();
                },
                {},
                GetParam()};
      const bool worked = in_run ? !pump.run() : serve_until(pump, [&] { return pump.stopped(); });
      if (made > 0) ::waitpid(made, nullptr, 0);
      return worked ? 0 : 1;
    }};
    ASSERT_FALSE(client.send("fork"));
    for (int worker = 1; worker <= 2; ++worker) {
      std::this_thread::sleep_for(20ms);  // both have most likely armed; right in any case
      ASSERT_FALSE(client.send("serve"));
    }
    EXPECT_EQ(outer.join(), 0);
    EXPECT_EQ(*served, 2);
  }
}

TEST_P(forked_under, a_group_is_renewed_as_a_whole) {
  datagram_socket second_socket = bound();
  pump_group group{{.waiter = GetParam()}};
  int first_served = 0, second_served = 0;
  grouped_pump first = group.add(socket, [&](datagram&) { ++first_served; });
  grouped_pump second = group.add(second_socket, [&](datagram&) { ++second_served; });
  settle(group);
  child_process child{[&] {
    if (group.dispatch() != errc::made_before_fork) return 1;
    group.after_fork();
    if (client.send("x") || client.send_to("x", second_socket.local())) return 2;
    if (!serve_until(group, [&] { return first_served + second_served == 2; })) return 3;
    return 0;
  }};
  EXPECT_EQ(child.join(), 0);
  ASSERT_FALSE(client.send("x"));
  EXPECT_TRUE(serve_until(group, [&] { return first_served == 1; }));
}

TEST_P(forked_under, what_waits_when_a_worker_ends_is_served_by_the_next) {  // with one shared socket
  shared<std::atomic<int>> served;
  child_process first{[&] {
    pump pump{socket,
              [&](datagram&) {
                ++*served;
                pump.stop();
              },
              {},
              GetParam()};
    return pump.run().value();
  }};
  for (int sent = 0; sent < 40; ++sent) ASSERT_FALSE(client.send("x"));
  ASSERT_EQ(first.join(), 0);
  child_process second{[&] {
    pump pump{socket,
              [&](datagram&) {
                if (++*served == 40) pump.stop();
              },
              {},
              GetParam()};
    return pump.run().value();
  }};
  EXPECT_EQ(second.join(), 0);
  EXPECT_EQ(*served, 40);
}

TEST_P(forked_under, the_next_gets_the_port_of_one_that_was_killed_while_it_waited) {
  const folder place;
  for (const auto& local : {bound().local(), place.socket("server")}) {
    for (int round = 0; round < 5; ++round) {
      const shared<std::atomic<bool>> armed;
      const child_process killed{[&] {
        auto own = datagram_socket::bind(local);
        pump pump{own, [](datagram&) {}, {}, GetParam()};
        settle(pump);
        *armed = true;
        return pump.run().value();
      }};
      ASSERT_TRUE(eventually([&armed] { return armed->load(); }));
      ASSERT_EQ(::kill(killed.pid(), SIGKILL), 0);
      siginfo_t ended{};
      ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(killed.pid()), &ended, WEXITED | WNOWAIT), 0);
      EXPECT_EQ(datagram_socket::bind(local).local(), local);
    }
  }
}

TEST_P(forked_under, options_of_the_shared_socket_stay_what_they_were) {
  child_process child{[&] {
    pump pump{socket, [&](datagram&) { pump.stop(); }, {}, GetParam()};
    return pump.run().value();
  }};
  ASSERT_FALSE(client.send("x"));
  ASSERT_EQ(child.join(), 0);
  EXPECT_EQ(::fcntl(socket.fd(), F_GETFL) & O_NONBLOCK, 0);
}

}  // namespace
