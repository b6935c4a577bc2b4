#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <thread>
#include <udppump/pump.hpp>
#include <vector>

#include "support/fault.hpp"
#include "support/process.hpp"
#include "support/serve.hpp"
#include "support/waiters.hpp"

using namespace udppump;
using namespace std::chrono_literals;

namespace {

class pump_when : public every_waiter {
 protected:
  datagram_socket socket = bound();
  datagram_socket client = datagram_socket::connect(socket.local());
};
UDPPUMP_UNDER_EVERY_WAITER(pump_when);

/// What wakes the pump and is taken by somebody else.
void wake_for_nothing(pump& one, const datagram_socket& socket, const datagram_socket& client) {
  ASSERT_FALSE(client.send("x"));
  ASSERT_TRUE(readable(one.wake_fd(), patience));
  std::array<std::byte, 1> taken{};
  ASSERT_TRUE(socket.receive(taken));
  const auto before = one.stats().empty_wakeups;
  ASSERT_TRUE(serve_until(one, [&] { return one.stats().empty_wakeups > before; }));
  settle(one);
}

TEST_P(pump_when, wake_ups_are_empty_in_a_row_it_asks_whether_the_socket_was_shut_down_and_not_otherwise) {
  pump pump{socket, [](datagram&) {}, {}, GetParam()};
  settle(pump);
  const fault::injection asked{{.call = "poll", .error = EIO, .times = 0, .fd = socket.fd()}};
  for (std::uint64_t round = 1; round <= 20; ++round) {
    wake_for_nothing(pump, socket, client);
    ASSERT_FALSE(client.send("x"));
    ASSERT_TRUE(serve_until(pump, [&] { return pump.stats().received == round; }));
    settle(pump);
  }
  EXPECT_EQ(asked.seen(), 0);
  for (int time = 0; time < 20; ++time) wake_for_nothing(pump, socket, client);
  EXPECT_GT(asked.seen(), 0);
  EXPECT_LT(asked.seen(), 20) << "not each time";
}

TEST_P(pump_when, every_call_is_interrupted_by_signals_nothing_is_lost) {
  for (const char* call : {"recvfrom", "recvmsg", "sendmsg", "read", "write", "poll", "epoll_wait",
                           "io_uring_submit_and_wait", "io_uring_submit_and_get_events"}) {
    const std::string_view name = call;
    const fault::injection interrupted{{.call = call, .error = EINTR, .times = 20}};
    datagram_socket timed = bound({.receive_time = true});
    for (datagram_socket* each : {&socket, &timed}) {
      int received = 0;
      pump pump{*each,
                [&](datagram& one) {
                  EXPECT_FALSE(one.reply("answer"));
                  if (++received == 10) pump.stop();
                },
                {},
                GetParam()};
      for (int sent = 0; sent < 5; ++sent) ASSERT_FALSE(client.send_to("x", each->local()));
      ASSERT_TRUE(serve_until(pump, [&] { return received == 5; })) << call;
      settle(pump);
      for (int sent = 0; sent < 5; ++sent) ASSERT_FALSE(client.send_to("x", each->local()));
      EXPECT_FALSE(pump.run()) << call;
      EXPECT_EQ(received, 10) << call;
    }
    const bool rings = name.starts_with("io_uring");
    const bool used = rings                  ? GetParam() == waiter_kind::uring
                      : name == "epoll_wait" ? in_loop(GetParam()) == waiter_kind::thread
                                             : true;  // poll: by serve_until() at least
    EXPECT_EQ(interrupted.hits() > 0, used) << call;
  }
}

TEST_P(pump_when, receiving_is_refused_for_a_while_it_tries_again_without_a_spin) {
  for (const int error : {ENOMEM, ENOBUFS, EIO}) {
    std::vector<std::error_code> errors;
    int received = 0;
    pump pump{socket,
              [&](datagram&) { ++received; },
              {.on_error = [&](const receive_error& e) { errors.push_back(e.code); }},
              GetParam()};
    settle(pump);
    int dispatches = 0;
    {
      const fault::injection refused{{.call = "recvfrom", .error = error, .fd = socket.fd()}};
      ASSERT_FALSE(client.send("waits"));
      const auto until = std::chrono::steady_clock::now() + 200ms;
      while (std::chrono::steady_clock::now() < until) {
        if (!readable(pump.wake_fd(), 10ms)) continue;
        ASSERT_FALSE(pump.dispatch());
        ++dispatches;
      }
      EXPECT_GE(refused.hits(), 2);
      EXPECT_LE(refused.hits(), 60) << "a try each 20 ms, and the first few";
      EXPECT_EQ(errors.size(), static_cast<std::size_t>(refused.hits()));
    }
    EXPECT_LE(dispatches, 60);
    EXPECT_FALSE(pump.stopped());
    EXPECT_TRUE(serve_until(pump, [&] { return received == 1; }));
    for (const auto& code : errors) EXPECT_EQ(code.value(), error);
    ASSERT_EQ(pump.stats().errors.size(), 1u);
    EXPECT_EQ(pump.stats().errors[0].count, errors.size());
  }
}

TEST_P(pump_when, receiving_is_refused_seven_times_it_goes_on_at_once_and_forgets_them_with_each_success) {
  int received = 0;
  pump pump{socket, [&](datagram&) { ++received; }, {}, GetParam()};
  settle(pump);
  for (int round = 1; round <= 3; ++round) {
    ASSERT_FALSE(client.send("waits"));
    const fault::injection refused{{.call = "recvfrom", .error = ENOBUFS, .times = 7, .fd = socket.fd()}};
    ASSERT_TRUE(readable(pump.wake_fd(), patience));
    ASSERT_FALSE(pump.dispatch());
    EXPECT_EQ(received, round) << "paused";
    EXPECT_EQ(refused.hits(), 7);
    settle(pump);
  }
}

TEST_P(pump_when, receiving_is_refused_seven_times_before_each_of_two_datagrams_it_takes_both_at_once) {
  int received = 0;
  pump pump{socket, [&](datagram&) { ++received; }, {}, GetParam()};
  settle(pump);
  for (int datagram = 0; datagram < 2; ++datagram) ASSERT_FALSE(client.send("waits"));
  const fault::injection first{{.call = "recvfrom", .error = ENOBUFS, .times = 7, .fd = socket.fd()}};
  const fault::injection second{{.call = "recvfrom", .error = ENOBUFS, .times = 7, .after = 1, .fd = socket.fd()}};
  ASSERT_TRUE(readable(pump.wake_fd(), patience));
  ASSERT_FALSE(pump.dispatch());
  EXPECT_EQ(first.hits() + second.hits(), 14);
  EXPECT_EQ(received, 2) << "the first one's refusals count with the second one's, and no queue was empty in between";
}

TEST_P(pump_when, receiving_is_refused_an_empty_queue_ends_the_series_too) {
  int received = 0;
  pump pump{socket, [&](datagram&) { ++received; }, {}, GetParam()};
  {
    const fault::injection refused{{.call = "recvfrom", .error = ENOBUFS, .times = 7, .fd = socket.fd()}};
    settle(pump);  // seven refusals, and then nothing is there
    ASSERT_EQ(refused.hits(), 7);
  }
  ASSERT_FALSE(client.send("waits"));
  const fault::injection refused{{.call = "recvfrom", .error = ENOBUFS, .times = 1, .fd = socket.fd()}};
  ASSERT_TRUE(readable(pump.wake_fd(), patience));
  ASSERT_FALSE(pump.dispatch());
  EXPECT_EQ(received, 1) << "paused";
}

TEST_P(pump_when, there_is_no_memory_to_receive_it_pauses_at_once) {
  int received = 0;
  pump pump{socket, [&](datagram&) { ++received; }, {}, GetParam()};
  settle(pump);
  ASSERT_FALSE(client.send("waits"));
  const fault::injection refused{{.call = "recvfrom", .error = ENOMEM, .times = 1, .fd = socket.fd()}};
  ASSERT_TRUE(readable(pump.wake_fd(), patience));
  ASSERT_FALSE(pump.dispatch());
  EXPECT_EQ(refused.hits(), 1);
  EXPECT_EQ(received, 0) << "no pause";
  EXPECT_TRUE(serve_until(pump, [&] { return received == 1; }));
}

TEST_P(pump_when, datagrams_come_while_their_wake_up_is_cleared_none_waits_without_one) {
  for (const int sent : {1, 3}) {
    int received = 0;
    pump pump{socket, [&](datagram&) { ++received; }, {.budget_datagrams = 1}, GetParam()};
    settle(pump);
    const fault::injection race{{.call = "read", .times = 1, .fd = pump.wake_fd(), .meanwhile = [&] {
                                   for (int number = 0; number < sent; ++number) ASSERT_FALSE(client.send("x"));
                                   ASSERT_TRUE(readable(pump.wake_fd(), patience));
                                 }}};
    ASSERT_FALSE(pump.dispatch());
    ASSERT_EQ(race.hits(), 1);
    EXPECT_TRUE(received == sent || readable(pump.wake_fd())) << received << " of " << sent;
    EXPECT_TRUE(serve_until(pump, [&] { return received == sent; }));
  }
}

TEST_P(pump_when, receiving_is_refused_run_goes_on_too) {
  int received = 0;
  pump pump{socket,
            [&](datagram&) {
              ++received;
              pump.stop();
            },
            {},
            GetParam()};
  const fault::injection refused{{.call = "recvfrom", .error = ENOMEM, .times = 3, .fd = socket.fd()}};
  ASSERT_FALSE(client.send("waits"));
  EXPECT_FALSE(pump.run());
  EXPECT_EQ(received, 1);
  EXPECT_EQ(refused.hits(), 3);
}

TEST_P(pump_when, the_descriptor_turns_out_to_be_no_socket_it_ends_once) {
  for (const int error : {EBADF, ENOTSOCK, ENOTCONN, EINVAL}) {
    int fatal = 0;
    pump pump{socket,
              [](datagram&) {},
              {.on_error = [&](const receive_error& e) { fatal += e.what == receive_error::kind::fatal; }},
              GetParam()};
    const fault::injection gone{{.call = "recvfrom", .error = error, .fd = socket.fd()}};
    EXPECT_EQ(pump.dispatch().value(), error);
    EXPECT_EQ(pump.run().value(), error);
    EXPECT_EQ(fatal, 1);
    EXPECT_EQ(gone.hits(), 1);
  }
}

TEST_P(pump_when, a_reply_is_refused_the_handler_is_told_and_it_is_counted) {
  for (const int error : {EPERM, ENOBUFS, EMSGSIZE, EAGAIN, ENOMEM}) {
    const std::uint64_t before = socket.send_errors();
    std::error_code told;
    pump pump{socket, [&](datagram& one) { told = one.reply("answer"); }, {}, GetParam()};
    const fault::injection refused{{.call = "sendmsg", .error = error, .fd = socket.fd()}};
    ASSERT_FALSE(client.send("question"));
    ASSERT_TRUE(serve_until(pump, [&] { return pump.stats().received == 1; }));
    EXPECT_EQ(told.value(), error);
    // Only what may be an earlier datagram's error (a path's MTU, say) is tried again.
    EXPECT_EQ(refused.hits(), error == EMSGSIZE ? 2 : 1);
    EXPECT_EQ(pump.stats().send_errors, before + 1);
  }
}

TEST_P(pump_when, the_socket_cannot_be_waited_for_it_ends_with_the_reason) {
  if (in_loop(GetParam()) != waiter_kind::thread) GTEST_SKIP() << "arming is a system call of its own with epoll only";
  pump pump{socket, [](datagram&) {}, {}, GetParam()};
  const fault::injection refused{{.call = "epoll_ctl", .error = EPERM, .fd = socket.fd()}};
  EXPECT_EQ(pump.dispatch(), std::errc::operation_not_permitted);
  EXPECT_TRUE(pump.stopped());
}

TEST_P(pump_when, there_is_no_memory_to_wait_it_tries_again_without_a_spin) {
  if (in_loop(GetParam()) != waiter_kind::thread) GTEST_SKIP() << "arming is a system call of its own with epoll only";
  int received = 0;
  pump pump{socket, [&](datagram&) { ++received; }, {}, GetParam()};
  const fault::injection refused{{.call = "epoll_ctl", .error = ENOMEM, .times = 3, .fd = socket.fd()}};
  settle(pump);
  EXPECT_FALSE(readable(pump.wake_fd()));
  EXPECT_TRUE(serve_until(pump, [&] { return refused.hits() == 3; }));
  ASSERT_FALSE(client.send("hello"));
  EXPECT_TRUE(serve_until(pump, [&] { return received == 1; }));
}

TEST_P(pump_when, a_close_is_interrupted_it_is_not_repeated) {
  const std::size_t before = open_descriptors();
  int closed = -1;
  {
    datagram_socket other = bound();
    closed = other.fd();
    const fault::injection interrupted{{.call = "close", .error = EINTR, .fd = closed}};
    other = bound();
    EXPECT_EQ(interrupted.hits(), 1);
  }
  ::close(closed);
  EXPECT_EQ(open_descriptors(), before);
}

TEST_P(pump_when, two_hundred_bad_checksums_arrive_it_stays_quiet) {
  const int raw = ::socket(AF_INET, SOCK_RAW, IPPROTO_UDP);
  if (raw < 0) GTEST_SKIP() << "a raw socket needs CAP_NET_RAW";
  int received = 0;
  pump pump{socket, [&](datagram&) { ++received; }, {}, GetParam()};
  settle(pump);
  const std::uint16_t port = socket.local().port();
  // Long enough for the kernel to leave the checksum to whoever receives or polls; a shorter one is checked at once.
  std::array<unsigned char, 208> bad{
      0x12, 0x34, static_cast<unsigned char>(port >> 8), static_cast<unsigned char>(port), 0, 208, 0xde, 0xad};
  const address here = address::parse("127.0.0.1:0");
  for (int sent = 0; sent < 200; ++sent) {
    ASSERT_EQ(::sendto(raw, bad.data(), bad.size(), 0, here.data(), here.size()), static_cast<ssize_t>(bad.size()));
    settle(pump);
  }
  ::close(raw);
  EXPECT_TRUE(serve_until(pump, [&] { return pump.stats().kernel_drops == 200; }));
  EXPECT_EQ(received, 0);
  EXPECT_FALSE(readable(pump.wake_fd(), 20ms));
  EXPECT_LE(pump.stats().wakeups, 201u);
  ASSERT_FALSE(socket.send_to("good", socket.local()));
  EXPECT_TRUE(serve_until(pump, [&] { return received == 1; }));
}

TEST_P(pump_when, the_ring_has_no_memory_for_a_while_it_goes_on) {
  if (GetParam() != waiter_kind::uring) GTEST_SKIP() << "of the ring only";
  for (const char* call : {"io_uring_submit_and_get_events", "io_uring_submit_and_wait"}) {
    int received = 0;
    pump pump{socket,
              [&](datagram&) {
                if (++received == 2) pump.stop();
              },
              {},
              GetParam()};
    const fault::injection refused{{.call = call, .error = EAGAIN, .times = 5}};
    settle(pump);
    ASSERT_FALSE(client.send("x"));
    ASSERT_TRUE(serve_until(pump, [&] { return received == 1; })) << call;
    settle(pump);
    ASSERT_FALSE(client.send("x"));
    EXPECT_FALSE(pump.run()) << call;
    EXPECT_GE(refused.hits(), 1) << call;
  }
}

TEST_P(pump_when, even_waiting_is_refused_it_does_not_spin) {
  const char* const call = in_loop(GetParam()) == waiter_kind::thread ? "epoll_wait" : "poll";
  if (GetParam() == waiter_kind::uring) GTEST_SKIP() << "has no thread";
  pump pump{socket, [](datagram&) {}, {}, GetParam()};
  ASSERT_FALSE(pump.dispatch());
  const fault::injection refused{{.call = call, .error = ENOMEM}};
  ASSERT_FALSE(client.send("wakes the thread up"));
  std::this_thread::sleep_for(200ms);  // the time in which it would spin
  EXPECT_LE(refused.hits(), 30);
}

}  // namespace
