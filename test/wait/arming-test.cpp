// The waiters by themselves, without a pump that would make up for what they lose.

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <fstream>
#include <iterator>
#include <memory>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "support/fault.hpp"
#include "support/process.hpp"
#include "support/sockets.hpp"
#include "support/waiters.hpp"
#include "wait/wait_set.hpp"
#include "wait/waiter.hpp"

using namespace udppump;
using namespace std::chrono_literals;
using detail::arming;
using detail::firing;
using detail::sleeper;
using detail::wake_signal;

namespace {

/// A waiter and its wake_signal. What an event loop does, in one call, or run() if the waiter is for that alone.
struct made_waiter {
  std::shared_ptr<wake_signal> signal = std::make_shared<wake_signal>();
  std::unique_ptr<detail::waiter> waiter;

  /// The armings that fire next, and those with them; none if nothing fires in time.
  std::vector<arming> next() const {
    std::vector<firing> fired;
    if (waiter->kind() == waiter_kind::epoll) {
      const auto until = std::chrono::steady_clock::now() + patience;
      waiter->wake_after(patience);
      while (fired.empty() && std::chrono::steady_clock::now() < until) EXPECT_FALSE(waiter->wait(fired));
      return which(fired);
    }
    while (fired.empty() && readable(signal->fd(), patience)) {
      signal->clear();
      EXPECT_FALSE(waiter->collect(fired));
    }
    return which(fired);
  }
  std::vector<arming> collected() const {
    std::vector<firing> fired;
    EXPECT_FALSE(waiter->collect(fired));
    return which(fired);
  }
  static std::vector<arming> which(const std::vector<firing>& fired) {
    std::vector<arming> all;
    for (const firing& one : fired) all.push_back(one.which);
    return all;
  }
  void arm(arming which, const datagram_socket& socket) const {
    EXPECT_FALSE(waiter->arm(which, socket.fd()));
    EXPECT_EQ(collected(), std::vector<arming>{}) << "nothing has come yet";
  }
};

class waiter_under : public every_waiter {
 protected:
  made_waiter made(sleeper who = sleeper::event_loop) const {
    if (GetParam() == waiter_kind::epoll) who = sleeper::wait;
    made_waiter one;
    one.waiter = detail::choose_waiter(GetParam(), who, one.signal).waiter;
    EXPECT_EQ(one.waiter->kind(), GetParam());
    EXPECT_FALSE(one.waiter->serve(who));
    return one;
  }
  static void send(const datagram_socket& to) { EXPECT_FALSE(to.send_to("x", to.local())); }
};
UDPPUMP_UNDER_EVERY_WAITER(waiter_under);

constexpr arming first{.slot = 0, .turn = 7}, second{.slot = 1, .turn = 8}, third{.slot = 2, .turn = 9};

TEST_P(waiter_under, an_arming_fires_once_and_the_socket_can_be_armed_again) {
  const auto one = made();
  const auto socket = bound();
  for (std::uint32_t turn = 1; turn <= 3; ++turn) {
    const arming which{.slot = 0, .turn = turn};
    one.arm(which, socket);
    send(socket);
    EXPECT_EQ(one.next(), std::vector{which});
    EXPECT_EQ(one.collected(), std::vector<arming>{}) << "told before";
    EXPECT_FALSE(one.waiter->pending());
    EXPECT_EQ(received(socket), "x");
  }
}

TEST_P(waiter_under, of_several_that_fire_all_are_told) {
  const auto one = made();
  const datagram_socket sockets[] = {bound(), bound(), bound()};
  const arming all[] = {first, second, third};
  for (int at = 0; at < 3; ++at) one.arm(all[at], sockets[at]);
  for (const auto& socket : sockets) send(socket);
  std::size_t told = 0;
  while (told < 3) {
    const auto fired = one.next();
    if (fired.empty()) break;
    told += fired.size();
  }
  EXPECT_EQ(told, 3u);
}

TEST_P(waiter_under, what_fires_while_another_is_disarmed_is_told) {
  for (const auto who : {sleeper::event_loop, sleeper::wait}) {
    const auto one = made(who);
    const auto fires = bound();
    const auto quiet = bound();
    one.arm(first, fires);
    one.arm(second, quiet);
    send(fires);
    ASSERT_TRUE(eventually([&] { return one.waiter->pending(); }));
    one.waiter->disarm(second, quiet.fd());
    EXPECT_TRUE(one.waiter->pending()) << "or the loop would not ask";
    std::vector<firing> fired;
    if (who == sleeper::event_loop) {
      EXPECT_FALSE(one.waiter->collect(fired));
    } else {
      EXPECT_FALSE(one.waiter->wait(fired));  // does not sleep: nothing else will come
    }
    EXPECT_EQ(made_waiter::which(fired), std::vector{first});
  }
}

TEST_P(waiter_under, what_is_disarmed_fires_no_more) {
  const auto one = made();
  const auto disarmed = bound();
  const auto armed = bound();
  one.arm(first, disarmed);
  one.arm(second, armed);
  one.waiter->disarm(first, disarmed.fd());
  send(disarmed);
  send(armed);
  EXPECT_EQ(one.next(), std::vector{second});
  EXPECT_EQ(one.collected(), std::vector<arming>{});
}

TEST_P(waiter_under, what_is_disarmed_has_left_its_port_when_it_is_closed) {
  const auto one = made();
  for (int round = 0; round < 20; ++round) {
    auto socket = std::make_unique<datagram_socket>(bound());
    const address where = socket->local();
    one.arm(first, *socket);
    std::this_thread::sleep_for(1ms);  // so that a thread which is to sleep most likely does
    one.waiter->disarm(first, socket->fd());
    socket.reset();
    ASSERT_NO_THROW(static_cast<void>(datagram_socket::bind(where)));
  }
}

TEST_P(waiter_under, every_alarm_is_heard_in_its_time) {
  const auto one = made();
  for (const auto delay : {100ms, 1ms, 1ms}) {
    const auto began = std::chrono::steady_clock::now();
    one.waiter->wake_after(delay);
    static_cast<void>(one.collected());
    if (GetParam() == waiter_kind::epoll) {
      // May return early: closing a ring interrupts whatever its thread sleeps in.
      std::vector<firing> fired;
      while (std::chrono::steady_clock::now() - began < delay) EXPECT_FALSE(one.waiter->wait(fired));
      EXPECT_TRUE(fired.empty());
      continue;
    }
    ASSERT_TRUE(readable(one.signal->fd(), patience)) << delay.count() << " ms";
    EXPECT_GE(std::chrono::steady_clock::now() - began, delay);
    EXPECT_EQ(one.collected(), std::vector<arming>{});
    one.signal->clear();  // a ring signals once more what is collected
  }
}

TEST_P(waiter_under, after_an_alarm_the_thread_sleeps_again) {
  if (GetParam() == waiter_kind::uring || GetParam() == waiter_kind::epoll) GTEST_SKIP() << "has no thread";
  const auto one = made();
  one.waiter->wake_after(1ms);
  ASSERT_TRUE(readable(one.signal->fd(), patience));
  const char* const call = GetParam() == waiter_kind::thread ? "epoll_wait" : "poll";
  const fault::injection counter{{.call = call, .error = EIO, .times = 0}};
  std::this_thread::sleep_for(20ms);
  EXPECT_LE(counter.seen(), 2) << "calls of a thread that has nothing to do";
}

TEST_P(waiter_under, an_alarm_that_goes_off_while_a_socket_is_disarmed_ends_the_wait) {
  const auto one = made(sleeper::wait);
  const auto quiet = bound();
  one.arm(first, quiet);
  one.waiter->wake_after(1ms);
  static_cast<void>(one.collected());
  if (GetParam() == waiter_kind::epoll) {
    std::this_thread::sleep_for(2ms);  // it has a deadline, and nothing that goes off
  } else {
    ASSERT_TRUE(eventually([&] { return one.waiter->pending() || readable(one.signal->fd()); }));
  }
  one.waiter->disarm(first, quiet.fd());
  std::vector<firing> fired;
  EXPECT_FALSE(one.waiter->wait(fired));
  EXPECT_TRUE(fired.empty());
}

TEST_P(waiter_under, a_notification_ends_a_wait_and_is_cleared) {
  const auto one = made(sleeper::wait);
  for (int time = 0; time < 3; ++time) {
    one.signal->notify();
    std::vector<firing> fired;
    EXPECT_FALSE(one.waiter->wait(fired));
    EXPECT_TRUE(fired.empty());
    EXPECT_FALSE(readable(one.signal->fd()));
  }
}

class own_epoll : public waiter_under {};
INSTANTIATE_TEST_SUITE_P(under, own_epoll, testing::Values(waiter_kind::epoll), waiter_name);

TEST_P(own_epoll, arms_a_socket_again_without_a_system_call) {
  const auto one = made();
  const auto socket = bound();
  one.arm(first, socket);
  const fault::injection counter{{.call = "epoll_ctl", .error = EIO, .times = 0}};
  for (std::uint32_t turn = 1; turn <= 3; ++turn) {
    const arming again{.slot = 0, .turn = turn};
    EXPECT_FALSE(one.waiter->arm(again, socket.fd()));
    send(socket);
    EXPECT_EQ(one.next(), std::vector{again});
    EXPECT_EQ(received(socket), "x");
  }
  EXPECT_EQ(counter.seen(), 0);
}

TEST_P(own_epoll, says_nothing_of_a_socket_that_is_not_armed_again) {
  const auto one = made();
  const auto rests = bound();
  const auto armed = bound();
  one.arm(first, rests);
  one.arm(second, armed);
  send(rests);
  EXPECT_EQ(one.next(), std::vector{first});
  EXPECT_FALSE(one.waiter->pending()) << "it is readable, but was told";
  EXPECT_EQ(one.collected(), std::vector<arming>{});
  one.waiter->forget(first.slot);
  send(armed);
  EXPECT_EQ(one.next(), std::vector{second});
}

TEST_P(own_epoll, looks_at_a_socket_that_is_armed_again_and_still_has_something) {
  const auto one = made();
  const auto socket = bound();
  const arming again{.slot = first.slot, .turn = first.turn + 1};
  one.arm(first, socket);
  send(socket);
  send(socket);
  EXPECT_EQ(one.next(), std::vector{first});
  EXPECT_EQ(received(socket), "x");
  EXPECT_FALSE(one.waiter->arm(again, socket.fd()));
  EXPECT_EQ(one.next(), std::vector{again});
}

TEST_P(own_epoll, sleeps_on_after_a_descriptor_was_closed_that_another_process_has_too) {
  const auto one = made();
  const auto other = bound();
  one.arm(second, other);
  auto lost = bound();
  const int copy = ::dup(lost.fd());  // as a forked worker has it
  one.arm(first, lost);
  const int closed = lost.release();
  ::close(closed);
  one.waiter->disarm(first, closed);
  const fault::injection counter{{.call = "epoll_wait", .error = EIO, .times = 0}};
  socklen_t size = sizeof(sockaddr_in);
  sockaddr_in bound_to{};
  ASSERT_EQ(::getsockname(copy, reinterpret_cast<sockaddr*>(&bound_to), &size), 0);
  ASSERT_GE(::sendto(other.fd(), "x", 1, 0, reinterpret_cast<sockaddr*>(&bound_to), size), 0);
  const auto until = std::chrono::steady_clock::now() + 50ms;
  while (std::chrono::steady_clock::now() < until) {
    one.waiter->wake_after(50ms);
    std::vector<firing> fired;
    EXPECT_FALSE(one.waiter->wait(fired));
    EXPECT_TRUE(fired.empty());
  }
  // A few more where a ring of before ends only now, which interrupts (EINTR).
  EXPECT_LE(counter.seen(), 50) << "it reports without end what nobody asked for";
  send(other);
  EXPECT_EQ(one.next(), std::vector{second});
  ::close(copy);
}

TEST_P(own_epoll, passes_a_wake_up_on_while_its_worker_does_not_sleep) {
  const auto socket = bound();
  const made_waiter busy = made(), idle = made();
  busy.arm(first, socket);  // first in the kernel's queue
  idle.arm(first, socket);
  std::jthread sender{[&] {
    std::this_thread::sleep_for(20ms);  // `idle` sleeps by then, or finds it when it looks
    send(socket);
  }};
  EXPECT_EQ(idle.next(), std::vector{first});
  EXPECT_EQ(received(socket), "x");
}

TEST_P(own_epoll, a_datagram_ends_the_wait_of_one_worker) {
  const auto socket = bound();
  const made_waiter both[] = {made(), made()};
  std::atomic<int> ended{0};
  std::atomic<pid_t> ids[2] = {};
  std::vector<std::jthread> workers;
  for (int at = 0; at < 2; ++at) {
    both[at].arm(first, socket);
    workers.emplace_back([&, at] {
      ids[at] = ::gettid();
      std::vector<firing> fired;
      EXPECT_FALSE(both[at].waiter->wait(fired));
      ++ended;
    });
  }
  // The third word of stat, behind the name in brackets (proc(5)).
  const auto sleeps = [](pid_t id) {
    std::ifstream stat{"/proc/self/task/" + std::to_string(id) + "/stat"};
    const std::string line{std::istreambuf_iterator<char>{stat}, {}};
    return id != 0 && line.find(") S ") != std::string::npos;
  };
  EXPECT_TRUE(eventually([&] { return sleeps(ids[0]) && sleeps(ids[1]); }));
  send(socket);
  EXPECT_TRUE(eventually([&] { return ended == 1; }));
  std::this_thread::sleep_for(20ms);  // for one who should not have been woken
  EXPECT_EQ(ended, 1);
  for (const auto& one : both) one.signal->notify();
}

TEST_P(own_epoll, a_look_without_waiting_leaves_a_notification_to_the_wait) {
  const auto one = made();
  const auto socket = bound();
  one.arm(first, socket);
  one.signal->notify();
  EXPECT_EQ(one.collected(), std::vector<arming>{});
  EXPECT_TRUE(readable(one.signal->fd()));
}

class ring : public waiter_under {};
INSTANTIATE_TEST_SUITE_P(under, ring, testing::Values(waiter_kind::uring), waiter_name);

TEST_P(ring, that_is_busy_or_without_memory_for_a_while_goes_on) {
  const auto one = made();
  const auto socket = bound();
  for (const int error : {EBUSY, EINTR}) {
    const fault::injection refused{{.call = "io_uring_submit_and_get_events", .error = error, .times = 2000}};
    EXPECT_FALSE(one.waiter->arm(first, socket.fd()));
    for (int time = 0; time < 2000; ++time) ASSERT_EQ(one.collected(), std::vector<arming>{});
    EXPECT_EQ(refused.hits(), 2000);
    one.arm(first, socket);  // once more, which sends both
    one.waiter->disarm(first, socket.fd());
  }
}

TEST_P(ring, gives_up_for_refusals_in_a_row_and_not_for_as_many_with_successes_in_between) {
  const auto one = made();
  const auto socket = bound();
  constexpr int patient = 999;
  for (int series = 0; series < 3; ++series) {
    const fault::injection refused{{.call = "io_uring_submit_and_get_events", .error = EAGAIN, .times = patient}};
    EXPECT_FALSE(one.waiter->arm(first, socket.fd()));
    for (int time = 0; time < patient; ++time) ASSERT_EQ(one.collected(), std::vector<arming>{}) << series;
    EXPECT_EQ(refused.hits(), patient);
    EXPECT_EQ(one.collected(), std::vector<arming>{});
    one.waiter->disarm(first, socket.fd());
  }
  const fault::injection refused{{.call = "io_uring_submit_and_get_events", .error = EAGAIN}};
  EXPECT_FALSE(one.waiter->arm(first, socket.fd()));
  for (int time = 0; time < patient; ++time) ASSERT_EQ(one.collected(), std::vector<arming>{});
  std::vector<firing> fired;
  EXPECT_EQ(one.waiter->collect(fired), std::errc::resource_unavailable_try_again);
}

TEST_P(ring, fires_alone_for_a_datagram_that_another_waits_for_too) {
  const auto socket = bound();
  const made_waiter both[] = {made(), made()};
  for (const auto& one : both) one.arm(first, socket);
  send(socket);  // wakes before it returns
  ASSERT_TRUE(eventually([&] { return both[0].waiter->pending() || both[1].waiter->pending(); }));
  EXPECT_FALSE(both[0].waiter->pending() && both[1].waiter->pending());
}

TEST_P(ring, that_sleeps_by_itself_signals_nobody) {
  const auto one = made();
  const auto socket = bound();
  one.arm(first, socket);
  EXPECT_FALSE(one.waiter->serve(sleeper::wait));
  one.signal->clear();
  send(socket);
  ASSERT_TRUE(eventually([&] { return one.waiter->pending(); }));
  EXPECT_FALSE(readable(one.signal->fd())) << "the eventfd is for event loops alone";
  std::vector<firing> fired;
  EXPECT_FALSE(one.waiter->wait(fired));
  EXPECT_EQ(made_waiter::which(fired), std::vector{first});
}

// --- the thread, in a set that does as it is told --------------------------------------------------------------------

class told_set final : public detail::wait_set {
 public:
  waiter_kind kind() const noexcept override { return waiter_kind::poll; }
  std::error_code add(arming, int) noexcept override {
    return refuses ? std::make_error_code(std::errc::not_enough_memory) : std::error_code{};
  }
  void remove(arming which, int) noexcept override {
    const std::lock_guard lock{mutex_};
    removed_.push_back(which);
  }
  void wait(std::vector<firing>& fired, int timeout_ms) noexcept override {
    std::unique_lock lock{mutex_};
    ++waits;
    const auto has_news = [this] { return interrupted_ || !next_.empty(); };
    if (timeout_ms < 0) {
      changed_.wait(lock, has_news);
    } else {
      changed_.wait_for(lock, std::chrono::milliseconds{timeout_ms}, has_news);
    }
    interrupted_ = false;
    for (const arming one : std::exchange(next_, {})) fired.push_back({one, POLLIN});
  }
  void interrupt() noexcept override {
    const std::lock_guard lock{mutex_};
    interrupted_ = true;
    changed_.notify_all();
  }

  /// What the next wait() tells as readable.
  void tell(std::vector<arming> all) {
    const std::lock_guard lock{mutex_};
    next_ = std::move(all);
    changed_.notify_all();
  }
  std::vector<arming> removed() {
    const std::lock_guard lock{mutex_};
    return removed_;
  }
  bool refuses = false;
  std::atomic<int> waits{0};

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<arming> next_, removed_;
  bool interrupted_ = false;
};

struct thread_in_told_set : made_waiter {
  thread_in_told_set() {
    auto own = std::make_unique<told_set>();
    set = own.get();
    waiter = detail::make_thread_waiter(std::move(own), signal);
  }
  told_set* set;
};

TEST(thread_waiter, sleeps_until_an_alarm_and_does_not_spin_through_the_last_millisecond) {
  thread_in_told_set one;
  constexpr int alarms = 100;
  for (int alarm = 0; alarm < alarms; ++alarm) {
    one.waiter->wake_after(900us);
    ASSERT_TRUE(readable(one.signal->fd(), patience));
    one.signal->clear();
  }
  // Each is heard of and slept for; the time may also come between two looks at the clock.
  EXPECT_LE(one.set->waits, 1 + 3 * alarms);
}

TEST(thread_waiter, passes_over_what_was_disarmed_while_it_was_told) {
  thread_in_told_set one;
  EXPECT_FALSE(one.waiter->arm(first, 1));
  EXPECT_FALSE(one.waiter->arm(second, 2));
  one.waiter->disarm(first, 1);
  one.set->tell({first, second});
  EXPECT_EQ(one.next(), std::vector{second});
}

TEST(thread_waiter, passes_over_an_earlier_arming_of_the_same_slot) {
  thread_in_told_set one;
  constexpr arming before{.slot = first.slot, .turn = first.turn - 1};
  EXPECT_FALSE(one.waiter->arm(first, 1));
  EXPECT_FALSE(one.waiter->arm(second, 2));
  one.set->tell({before, second});
  EXPECT_EQ(one.next(), std::vector{second});
  one.set->tell({first});
  EXPECT_EQ(one.next(), std::vector{first}) << "is armed all the same";
}

TEST(thread_waiter, passes_over_what_the_set_refused) {
  thread_in_told_set one;
  one.set->refuses = true;
  EXPECT_EQ(one.waiter->arm(first, 1), std::errc::not_enough_memory);
  one.set->refuses = false;
  EXPECT_FALSE(one.waiter->arm(second, 2));
  one.set->tell({first, second});
  EXPECT_EQ(one.next(), std::vector{second});
}

TEST(thread_waiter, takes_out_of_the_set_what_has_fired_before_it_tells) {
  thread_in_told_set one;
  EXPECT_FALSE(one.waiter->arm(first, 1));
  one.set->tell({first});
  EXPECT_EQ(one.next(), std::vector{first});
  EXPECT_EQ(one.set->removed(), std::vector{first});
}

// --- what a waiter notifies ------------------------------------------------------------------------------------------

TEST(wake_signal, leaves_errno_alone_though_it_is_refused) {
  const wake_signal signal;
  const fault::injection refused{{.call = "write", .error = EAGAIN, .fd = signal.fd()}};
  errno = EDOM;
  signal.notify();
  const int left = errno;
  EXPECT_EQ(left, EDOM);
  EXPECT_EQ(refused.hits(), 1);
}

TEST(wake_signal, that_is_a_pipe_is_cleared_of_all_its_notifications_and_leaves_nothing_open) {
  const std::size_t before = open_descriptors();
  {
    const fault::injection no_eventfd{{.call = "eventfd", .error = ENOSYS}};
    const wake_signal signal;
    ASSERT_FALSE(signal.is_eventfd());
    for (const int notifications : {1, 64, 65, 1000}) {
      for (int time = 0; time < notifications; ++time) signal.notify();
      EXPECT_TRUE(readable(signal.fd()));
      signal.clear();
      EXPECT_FALSE(readable(signal.fd())) << notifications;
    }
  }
  EXPECT_EQ(open_descriptors(), before);
}

}  // namespace
