// While several datagrams wait and handlers are brief, a pump takes many in one system call
// (pump_options::batch_limit).
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <udppump/pump.hpp>
#include <utility>

#include "support/fault.hpp"
#include "support/process.hpp"
#include "support/serve.hpp"
#include "support/waiters.hpp"

using namespace udppump;
using namespace std::chrono_literals;

namespace {

class batches_under : public every_waiter {
 protected:
  static constexpr int burst = 300;

  /// Serves bursts, all numbered in one row, until a batch was taken in one of them. On a machine where every thread is
  /// interrupted all the time, handlers are not brief for long.
  testing::AssertionResult serves_in_batches(pump& pump) {
    const int before = calls.seen();
    const auto deadline = std::chrono::steady_clock::now() + patience;
    while (calls.seen() == before) {
      if (std::chrono::steady_clock::now() > deadline) return testing::AssertionFailure() << "no batch in time";
      send_burst();
      if (!serve_until(pump, [&] { return handled == sent; })) return testing::AssertionFailure() << "burst";
    }
    return testing::AssertionSuccess();
  }
  void send_burst() {
    for (int one = 0; one < burst; ++one) ASSERT_FALSE(client.send(std::to_string(sent++)));
  }
  void note(const datagram& came) {
    ++handled;
    in_order = in_order && came.text() == std::to_string(handled - 1) && came.from == client.local();
  }
  /// Takes what no pump has taken out of the socket, and counts it.
  int take_the_rest() const {
    int left = 0;
    while (socket.receive(std::span<std::byte>{}).error == std::error_code{}) ++left;
    return left;
  }
  handler noting() {
    return [this](datagram& came) { note(came); };
  }

  datagram_socket socket = bound({.receive_buffer = 4 << 20});
  datagram_socket client = datagram_socket::connect(socket.local());
  fault::injection calls{{.call = "recvmmsg", .times = 0}};
  int sent = 0, handled = 0;
  bool in_order = true;
};
UDPPUMP_UNDER_EVERY_WAITER(batches_under);

TEST_P(batches_under, are_taken_while_handlers_are_brief_and_keep_the_order) {
  pump pump{socket, noting(), {}, GetParam()};
  EXPECT_TRUE(serves_in_batches(pump));
  EXPECT_TRUE(in_order);
  EXPECT_EQ(pump.stats().received, static_cast<std::uint64_t>(sent));
  EXPECT_EQ(pump.stats().discarded, 0u);
}

TEST_P(batches_under, are_not_taken_where_that_is_said) {
  for (const pump_options& each : {pump_options{.batch_limit = 1}, pump_options{.max_in_flight = 100'000}}) {
    pump pump{socket, noting(), each, GetParam()};
    for (int round = 0; round < 5; ++round) {
      send_burst();
      ASSERT_TRUE(serve_until(pump, [&] { return handled == sent; }));
    }
  }
  EXPECT_EQ(calls.seen(), 0);
  EXPECT_TRUE(in_order);
}

TEST_P(batches_under, are_not_taken_while_handlers_are_long) {
  pump pump{socket,
            [&](datagram& came) {
              note(came);
              const auto end = std::chrono::steady_clock::now() + 15us;
              while (std::chrono::steady_clock::now() < end) continue;
            },
            {},
            GetParam()};
  for (int round = 0; round < 3; ++round) {
    send_burst();
    ASSERT_TRUE(serve_until(pump, [&] { return handled == sent; }));
  }
  EXPECT_EQ(calls.seen(), 0);
}

TEST_P(batches_under, hold_no_more_than_their_limit) {
  // What a stop in the handler discards shows how many there were.
  for (const std::size_t limit : {2u, 5u}) {
    bool stops = false;
    udppump::pump* serving = nullptr;
    pump pump{socket,
              [&](datagram& came) {
                note(came);
                if (stops) serving->stop();
              },
              {.batch_limit = limit},
              GetParam()};
    serving = &pump;
    ASSERT_TRUE(serves_in_batches(pump));
    stops = true;
    send_burst();
    ASSERT_TRUE(serve_until(pump, [&] { return pump.stopped(); }));
    EXPECT_LT(pump.stats().discarded, limit);
    take_the_rest();  // to start anew
    handled = sent;
  }
}

TEST_P(batches_under, a_stop_in_the_handler_ends_it_and_what_was_taken_is_counted) {
  bool stops = false;
  int after = 0;
  udppump::pump* serving = nullptr;
  pump pump{socket,
            [&](datagram& came) {
              if (serving->stopped()) ++after;
              note(came);
              if (stops) serving->stop();
            },
            {},
            GetParam()};
  serving = &pump;
  ASSERT_TRUE(serves_in_batches(pump));
  stops = true;
  send_burst();
  ASSERT_TRUE(serve_until(pump, [&] { return pump.stopped(); }));
  EXPECT_EQ(after, 0);
  const auto left = static_cast<std::uint64_t>(take_the_rest());
  EXPECT_EQ(pump.stats().received + pump.stats().discarded + left, static_cast<std::uint64_t>(sent));
}

TEST_P(batches_under, a_stop_that_is_requested_loses_none) {
  pump pump{socket, noting(), {}, GetParam()};
  ASSERT_TRUE(serves_in_batches(pump));
  send_burst();
  pump.request_stop();
  ASSERT_TRUE(serve_until(pump, [&] { return pump.stopped(); }));
  EXPECT_EQ(handled + take_the_rest(), sent);
  EXPECT_EQ(pump.stats().discarded, 0u);
}

TEST_P(batches_under, an_exception_that_leaves_dispatch_loses_none) {
  bool throws = false;
  pump pump{socket,
            [&](datagram& came) {
              note(came);
              if (throws && handled % 7 == 0) throw std::runtime_error{"of the handler"};
            },
            {},
            GetParam()};
  ASSERT_TRUE(serves_in_batches(pump));
  throws = true;
  send_burst();
  int thrown = 0;
  ASSERT_TRUE(eventually([&] {
    try {
      static_cast<void>(pump.dispatch());
    } catch (const std::runtime_error&) {
      ++thrown;
    }
    return handled == sent;
  }));
  EXPECT_GE(thrown, burst / 7 - 1);
  EXPECT_TRUE(in_order);
  EXPECT_EQ(pump.stats().discarded, 0u);
}

TEST_P(batches_under, the_pump_may_be_destroyed_in_the_handler) {
  auto serving = std::make_unique<pump>(socket, noting(), pump_options{}, GetParam());
  ASSERT_TRUE(serves_in_batches(*serving));
  serving.reset();

  bool ends = false;
  serving = std::make_unique<pump>(
      socket,
      [&](datagram& came) {
        note(came);
        if (ends) serving.reset();
      },
      pump_options{}, GetParam());
  ASSERT_TRUE(serves_in_batches(*serving));
  ends = true;
  send_burst();
  ASSERT_TRUE(eventually([&] { return serving->dispatch() || !serving; }));
}

TEST_P(batches_under, a_child_of_a_fork_in_the_handler_leaves_them_to_its_parent) {
  std::optional<child_process> child;
  bool forks = false;
  const shared<std::atomic<int>> handled_by_child;
  const pid_t parent = ::getpid();
  pump pump{socket,
            [&](datagram& came) {
              if (::getpid() != parent) ++*handled_by_child;
              note(came);
              if (std::exchange(forks, false)) child.emplace([] { return 0; });
            },
            {},
            GetParam()};
  ASSERT_TRUE(serves_in_batches(pump));
  send_burst();
  forks = true;
  ASSERT_TRUE(serve_until(pump, [&] { return handled == sent; }));
  ASSERT_TRUE(child);
  EXPECT_EQ(child->join(), 0);
  EXPECT_TRUE(in_order);

  // A child that returns from the handler, and serves on from there.
  forks = false;
  const shared<std::atomic<int>> status;
  pid_t forked = -1;
  bool once = true;
  udppump::pump other{socket,
                      [&](datagram& came) {
                        if (::getpid() != parent) ++*handled_by_child;
                        note(came);
                        if (!once) return;
                        once = false;
                        forked = fork_when_others_sleep();
                      },
                      {.batch_limit = 16},
                      GetParam()};
  send_burst();
  const auto turned = other.dispatch();
  if (forked == 0) ::_exit(turned == errc::made_before_fork && *handled_by_child == 0 ? 0 : 1);
  int ended = 0;
  ASSERT_EQ(::waitpid(forked, &ended, 0), forked);
  EXPECT_EQ(ended, 0);
  ASSERT_TRUE(serve_until(other, [&] { return handled == sent; }));
  EXPECT_TRUE(in_order);
}

TEST_P(batches_under, each_datagram_is_what_it_was) {
  const datagram_socket asked =
      bound({.receive_buffer = 4 << 20, .local_address = setting::on, .receive_time = true}, "0.0.0.0:0");
  datagram_socket server =
      datagram_socket::adopt(::dup(asked.fd()), {.local_address = setting::on, .receive_time = true});
  const datagram_socket clients[] = {bound(), bound(), bound()};
  const address hosts[] = {address::parse("127.0.0.1:0").with_port(asked.local().port()),
                           address::parse("127.0.0.2:0").with_port(asked.local().port())};
  const std::string longest(1500, 'x');
  int next = 0, wrong = 0;
  const auto text_of = [&](int number) {
    const std::string text = std::to_string(number);
    switch (number % 5) {
      case 0:
        return std::string{};
      case 1:
        return text + longest;
      default:
        return text;
    }
  };
  pump pump{server,
            [&](datagram& came) {
              const int number = next++;
              const std::string text = text_of(number);
              const bool right = came.text() == text.substr(0, 1000) && came.real_size == text.size() &&
                                 came.truncated() == (text.size() > 1000) && came.from == clients[number % 3].local() &&
                                 came.to == hosts[number % 2] && came.age().has_value();
              if (!right) ++wrong;
            },
            {.receive_limit = 1000},
            GetParam()};
  int number = 0;
  const int before = calls.seen();
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (calls.seen() == before && std::chrono::steady_clock::now() < deadline) {
    for (int one = 0; one < burst; ++one, ++number) {
      ASSERT_FALSE(clients[number % 3].send_to(text_of(number), hosts[number % 2]));
    }
    ASSERT_TRUE(serve_until(pump, [&] { return next == number; }));
  }
  EXPECT_GT(calls.seen(), before);
  EXPECT_EQ(wrong, 0);
}

TEST_P(batches_under, an_error_between_them_is_told_and_loses_none) {
  int errors = 0;
  pump pump{socket, noting(), {.on_error = [&](const receive_error&) { ++errors; }}, GetParam()};
  ASSERT_TRUE(serves_in_batches(pump));
  const fault::injection refused{{.call = "recvmmsg", .error = ENOMEM, .times = 3}};
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (refused.hits() < 3 && std::chrono::steady_clock::now() < deadline) {
    send_burst();
    ASSERT_TRUE(serve_until(pump, [&] { return handled == sent; }));
  }
  EXPECT_EQ(errors, 3);
  EXPECT_TRUE(in_order);
}

TEST(batch_limit, is_from_1_to_16) {
  datagram_socket socket = bound();
  for (const std::size_t wrong : {std::size_t{0}, std::size_t{17}, ~std::size_t{0}}) {
    EXPECT_THROW((pump{socket, [](datagram&) {}, {.batch_limit = wrong}}), std::invalid_argument);
  }
  for (const std::size_t right : {1u, 16u}) {
    EXPECT_NO_THROW((pump{socket, [](datagram&) {}, {.batch_limit = right}}));
  }
}

}  // namespace
