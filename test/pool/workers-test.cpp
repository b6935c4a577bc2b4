#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <thread>
#include <udppump/pump.hpp>
#include <vector>

#include "support/process.hpp"
#include "support/serve.hpp"
#include "support/waiters.hpp"

using namespace udppump;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t most_workers = 60;

/// What the workers of a test tell each other and the test.
struct board {
  std::atomic<int> inside{0};  // handlers begun
  std::atomic<int> served{0};
  std::atomic<int> wakeups{0}, empty_wakeups{0};
  std::atomic<int> impatient{0};  // handlers that waited in vain
  std::atomic<bool> end{false};
  std::array<std::atomic<bool>, most_workers> armed{};  // idle, in the kernel's queue

  bool all_armed(std::size_t workers) const {
    for (std::size_t at = 0; at < workers; ++at) {
      if (!armed[at]) return false;
    }
    return true;
  }
};

/// The body of a forked worker with an event loop of its own: serves until the board says end.
template <class Handler>
int work(datagram_socket& socket, waiter_kind kind, board& told, std::size_t self, Handler handle) {
  pump pump{socket, handle, {}, kind};
  while (!told.end) {
    settle(pump);
    told.armed[self] = true;
    if (!readable(pump.wake_fd(), 50ms)) continue;
    told.armed[self] = false;
  }
  const auto stats = pump.stats();
  told.wakeups += static_cast<int>(stats.wakeups);
  told.empty_wakeups += static_cast<int>(stats.empty_wakeups);
  return 0;
}

class workers_under : public every_waiter {
 protected:
  datagram_socket socket = bound({.receive_buffer = 1 << 20});
  datagram_socket client = datagram_socket::connect(socket.local());
  shared<board> told;
};
UDPPUMP_UNDER_EVERY_WAITER(workers_under);

TEST_P(workers_under, a_burst_as_large_as_the_number_of_idle_workers_runs_on_all_of_them_at_once) {
  constexpr int workers = most_workers;
  constexpr int bursts = 60;
  std::vector<child_process> children;
  for (std::size_t self = 0; self < workers; ++self) {
    children.emplace_back([this, self] {
      return work(socket, GetParam(), *told, self, [this](datagram&) {
        // Blocks until as many handlers run as there are workers: a datagram held back behind another would end it all.
        const int burst = told->inside++ / workers;
        const bool together = eventually([&] { return told->inside >= (burst + 1) * workers; });
        if (!together) ++told->impatient;
        ++told->served;
      });
    });
  }
  for (int burst = 0; burst < bursts; ++burst) {
    ASSERT_TRUE(eventually([&] { return told->all_armed(workers); })) << "burst " << burst;
    for (int sent = 0; sent < workers; ++sent) ASSERT_FALSE(client.send("work"));
    ASSERT_TRUE(eventually([&] { return told->served == (burst + 1) * workers; }, 60s)) << "burst " << burst;
    ASSERT_EQ(told->impatient, 0) << "burst " << burst;
  }
  told->end = true;
  for (auto& child : children) EXPECT_EQ(child.join(), 0);
}

TEST_P(workers_under, spaced_datagrams_wake_one_worker_each) {
  constexpr int workers = 8;
  constexpr int datagrams = 200;
  std::vector<child_process> children;
  for (std::size_t self = 0; self < workers; ++self) {
    children.emplace_back(
        [this, self] { return work(socket, GetParam(), *told, self, [this](datagram&) { ++told->served; }); });
  }
  for (int sent = 0; sent < datagrams; ++sent) {
    ASSERT_TRUE(eventually([&] { return told->all_armed(workers); })) << sent;
    ASSERT_FALSE(client.send("one at a time"));
    ASSERT_TRUE(eventually([&] { return told->served == sent + 1; })) << sent;
  }
  told->end = true;
  for (auto& child : children) EXPECT_EQ(child.join(), 0);
  // How many each worker served is the kernel's business. poll(2) has no exclusive wake-ups.
  if (GetParam() == waiter_kind::poll) return;
  EXPECT_EQ(told->wakeups, datagrams);
  EXPECT_EQ(told->empty_wakeups, 0);
}

TEST_P(workers_under, every_datagram_of_a_flood_is_served_exactly_once) {
  constexpr int workers = 8;
  constexpr int datagrams = 20'000;
  shared<std::array<std::atomic<char>, datagrams>> seen;
  std::vector<child_process> children;
  for (std::size_t self = 0; self < workers; ++self) {
    children.emplace_back([this, self, &seen] {
      return work(socket, GetParam(), *told, self, [this, &seen](datagram& one) {
        ++(*seen)[static_cast<std::size_t>(std::stoi(std::string{one.text()}))];
        ++told->served;
      });
    });
  }
  for (int sent = 0; sent < datagrams; ++sent) {
    ASSERT_FALSE(client.send(std::to_string(sent)));
    // Leaves the kernel's queue room: what it drops is not what is tested here.
    if (sent % 200 == 199) {
      ASSERT_TRUE(eventually([&] { return told->served >= sent - 199; })) << sent;
    }
  }
  EXPECT_TRUE(eventually([&] { return told->served == datagrams; })) << told->served;
  for (int number = 0; number < datagrams; ++number) {
    ASSERT_EQ((*seen)[static_cast<std::size_t>(number)], 1) << number;
  }
  told->end = true;
  for (auto& child : children) EXPECT_EQ(child.join(), 0);
}

TEST_P(workers_under, threads_with_a_pump_each_share_a_socket_too) {
  constexpr int workers = 8;
  constexpr int datagrams = 2000;
  std::atomic<int> served{0};
  std::vector<std::unique_ptr<pump>> pumps;
  for (int worker = 0; worker < workers; ++worker) {
    pumps.push_back(std::make_unique<pump>(
        socket,
        [&](datagram& one) {
          EXPECT_FALSE(one.reply("answer"));
          ++served;
        },
        pump_options{}, GetParam()));
  }
  std::vector<std::thread> running;
  for (auto& pump : pumps) running.emplace_back([&pump] { EXPECT_FALSE(pump->run()); });
  for (int sent = 0; sent < datagrams; ++sent) {
    ASSERT_FALSE(client.send("x"));
    if (sent % 100 == 99) {
      ASSERT_TRUE(eventually([&] { return served >= sent - 99; }));
    }
  }
  EXPECT_TRUE(eventually([&] { return served == datagrams; }));
  for (auto& pump : pumps) pump->request_stop();
  for (auto& thread : running) thread.join();
}

}  // namespace
