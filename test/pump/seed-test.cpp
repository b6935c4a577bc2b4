// One test for each row of docs/seed.md: what Event::Lib::UDPPump promised in 2006.

#include <event2/event.h>
#include <gtest/gtest.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <atomic>
#include <cstring>
#include <string>
#include <udppump/libevent.hpp>
#include <udppump/pump.hpp>
#include <vector>

#include "support/process.hpp"
#include "support/serve.hpp"
#include "support/sockets.hpp"
#include "support/waiters.hpp"

using namespace udppump;
using namespace std::chrono_literals;

namespace {

class seed : public every_waiter {
 protected:
  ~seed() override { event_base_free(base); }
  /// event_mainloop(), ended by the handler.
  void loop() { EXPECT_EQ(event_base_dispatch(base), 0); }
  void end_loop() { event_base_loopbreak(base); }

  event_base* base = event_base_new();
  datagram_socket socket = bound();
  datagram_socket client = datagram_socket::connect(socket.local());
};
UDPPUMP_UNDER_EVERY_WAITER(seed);

// udppump_new($socket, \&callback, @args)
TEST_P(seed, a_pump_is_made_of_a_socket_a_callback_and_arguments) {
  const std::vector<std::string> args{"one", "two"};
  std::string got;
  pump pump{socket,
            [&, args](datagram& received) { got = std::string{received.text()} + args[0] + args[1], end_loop(); },
            {},
            GetParam()};
  const libevent_watch watch{base, pump};
  ASSERT_FALSE(client.send("zero"));
  loop();
  EXPECT_EQ(got, "zeroonetwo");
}

// $pump->add()
TEST_P(seed, nothing_is_received_before_the_pump_is_added_to_the_loop) {
  int received = 0;
  pump pump{socket, [&](datagram&) { ++received, end_loop(); }, {}, GetParam()};
  ASSERT_FALSE(client.send("waits"));
  EXPECT_EQ(event_base_loop(base, EVLOOP_NONBLOCK), 1) << "no events";
  EXPECT_EQ(received, 0);
  const libevent_watch watch{base, pump};
  loop();
  EXPECT_EQ(received, 1);
}

// $pump->fh()
TEST_P(seed, the_pump_gives_the_socket_back_that_it_was_given) {
  const pump pump{socket, [](datagram&) {}, {}, GetParam()};
  EXPECT_EQ(&pump.socket(), &socket);
}

// callback gets {from, buffer, len, errno}
TEST_P(seed, the_callback_gets_sender_body_and_length_and_errors_go_elsewhere) {
  address dead;
  {
    const datagram_socket gone = bound();
    dead = gone.local();
  }
  for (const char* where : {"127.0.0.1:0", "[::1]:0"}) {
    datagram_socket here = [&] {
      try {
        return bound({}, where);
      } catch (const std::system_error&) {
        return bound();  // no IPv6 on this machine
      }
    }();
    const datagram_socket there = datagram_socket::connect(here.local());
    address from;
    std::string body;
    std::size_t length = 0;
    pump pump{here,
              [&](datagram& received) {
                from = received.from, body = received.text(), length = received.real_size, end_loop();
              },
              {},
              GetParam()};
    const libevent_watch watch{base, pump};
    ASSERT_FALSE(there.send(std::string(5000, 'b')));  // the seed cut at 4096, and an IPv6 sender at 16 bytes
    loop();
    EXPECT_EQ(from, there.local());
    EXPECT_EQ(body, std::string(5000, 'b'));
    EXPECT_EQ(length, 5000u);
  }
  datagram_socket asker = datagram_socket::connect(dead);
  std::error_code error;
  pump pump{asker,
            [](datagram&) { ADD_FAILURE() << "an error is no datagram"; },
            {.on_error = [&](const receive_error& told) { error = told.code, end_loop(); }},
            GetParam()};
  const libevent_watch watch{base, pump};
  ASSERT_FALSE(asker.send("anybody?"));
  loop();
  EXPECT_EQ(error, std::errc::connection_refused);
}

// event_mainloop()
TEST_P(seed, libevents_own_loop_runs_unchanged_beside_other_events) {
  int received = 0, ticks = 0;
  pump pump{socket, [&](datagram&) { ++received; }, {}, GetParam()};
  const libevent_watch watch{base, pump};
  struct context {
    event_base* base;
    int *received, *ticks;
  } told{base, &received, &ticks};
  event* const timer = event_new(
      base, -1, EV_PERSIST,
      [](evutil_socket_t, short, void* argument) {
        auto& here = *static_cast<context*>(argument);
        if (++*here.ticks >= 3 && *here.received == 1) event_base_loopbreak(here.base);
      },
      &told);
  const timeval each{.tv_sec = 0, .tv_usec = 1000};
  event_add(timer, &each);
  ASSERT_FALSE(client.send("x"));
  loop();
  event_free(timer);
  EXPECT_EQ(received, 1);
  EXPECT_GE(ticks, 3);
}

// fork several children, then make a pump in each: workers on one port, no herd. The loop's epoll is not the one that
// waits for the socket: exclusivity would end there.
TEST_P(seed, forked_children_with_a_pump_each_serve_one_port) {
  constexpr int children = 4;
  constexpr int datagrams = 200;
  shared<std::atomic<int>> wakeups, served;
  shared<std::atomic<bool>> end;
  std::vector<child_process> workers;
  for (int child = 0; child < children; ++child) {
    workers.emplace_back([&] {
      event_base* const own = event_base_new();
      pump pump{socket, [&](datagram& one) { served->fetch_add(one.reply("answer") ? 0 : 1); }, {}, GetParam()};
      {
        const libevent_watch watch{own, pump};
        while (!*end) {
          const timeval at_most{.tv_sec = 0, .tv_usec = 20'000};
          event_base_loopexit(own, &at_most);
          event_base_dispatch(own);
        }
      }
      event_base_free(own);
      *wakeups += static_cast<int>(pump.stats().wakeups);
      return 0;
    });
  }
  for (int sent = 0; sent < datagrams; ++sent) {
    ASSERT_FALSE(client.send("question"));
    const auto answer = received(client);
    ASSERT_TRUE(answer);
    ASSERT_EQ(answer->size(), 6u);
  }
  *end = true;
  for (auto& worker : workers) EXPECT_EQ(worker.join(), 0);
  EXPECT_EQ(*served, datagrams);
  if (GetParam() != waiter_kind::poll) {
    // A herd would be 4 times as many. Not exactly one each: an answer is here before its worker is idle again.
    EXPECT_LT(*wakeups, 2 * datagrams);
  }
}

// while the callback runs, nothing is received: a busy worker takes no datagram, an idle one does
TEST_P(seed, a_busy_worker_takes_no_datagram_and_an_idle_one_does) {
  shared<std::atomic<int>> busy_with, served;
  shared<std::atomic<bool>> release;
  std::vector<child_process> workers;
  for (int child = 0; child < 2; ++child) {
    workers.emplace_back([&] {
      event_base* const own = event_base_new();
      pump pump{socket,
                [&](datagram& received) {
                  if (received.text() == "long") {
                    *busy_with = ::getpid();
                    eventually([&] { return release->load(); });
                  } else if (*busy_with == ::getpid()) {
                    ::_exit(1);  // took a datagram it was not free for
                  }
                  ++*served;
                  if (received.text() != "end") return;
                  pump.stop();  // the other "end" is for the other worker
                  event_base_loopbreak(own);
                },
                {},
                GetParam()};
      const libevent_watch watch{own, pump};
      event_base_dispatch(own);
      ::_exit(0);
    });
  }
  ASSERT_FALSE(client.send("long"));
  ASSERT_TRUE(eventually([&] { return *busy_with != 0; }));
  for (int sent = 0; sent < 20; ++sent) ASSERT_FALSE(client.send("short"));
  EXPECT_TRUE(eventually([&] { return *served == 20; })) << "the idle worker serves them all";
  *release = true;
  ASSERT_TRUE(eventually([&] { return *served == 21; }));
  *busy_with = 0;
  ASSERT_FALSE(client.send("end"));
  ASSERT_FALSE(client.send("end"));
  for (auto& worker : workers) EXPECT_EQ(worker.join(), 0);
}

// any datagram socket, anything recvfrom works on
TEST_P(seed, unix_datagram_sockets_work) {
  const std::string name = "unix:@udppump-seed-" + std::to_string(::getpid()) + std::string{to_string(GetParam())};
  datagram_socket here = datagram_socket::bind(address::parse(name));
  const datagram_socket there = datagram_socket::bind(address::parse(name + "-client"));
  std::string from;
  pump pump{here,
            [&](datagram& received) {
              from = received.from.to_string();
              EXPECT_FALSE(received.reply("answer"));
            },
            {},
            GetParam()};
  ASSERT_FALSE(there.send_to("question", here.local()));
  ASSERT_TRUE(serve_until(pump, [&] { return !from.empty(); }));
  EXPECT_EQ(from, name + "-client");
  EXPECT_TRUE(readable(there.fd(), patience));
}

TEST_P(seed, socketpairs_work) {
  int pair[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair), 0);
  datagram_socket here = datagram_socket::adopt(pair[0]);
  const datagram_socket there = datagram_socket::adopt(pair[1]);
  std::string text;
  pump pump{here, [&](datagram& received) { text = received.text(); }, {}, GetParam()};
  ASSERT_FALSE(there.send("through the pair"));
  ASSERT_TRUE(serve_until(pump, [&] { return !text.empty(); }));
  EXPECT_EQ(text, "through the pair");
}

TEST_P(seed, netlink_sockets_work) {
  const int raw = ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (raw < 0) GTEST_SKIP() << "netlink: " << std::strerror(errno);
  datagram_socket here = datagram_socket::adopt(raw);
  bool answered = false;
  pump pump{here,
            [&](datagram& received) {
              answered = received.payload.size() >= sizeof(nlmsghdr);
              EXPECT_EQ(received.from.to_string(), "netlink:0");  // the kernel
            },
            {},
            GetParam()};
  struct {
    nlmsghdr header;
    rtgenmsg body;
  } question{};
  question.header.nlmsg_len = NLMSG_LENGTH(sizeof question.body);
  question.header.nlmsg_type = RTM_GETLINK;
  question.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  question.body.rtgen_family = AF_UNSPEC;
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  ASSERT_FALSE(here.send_to(bytes_view{reinterpret_cast<const std::byte*>(&question), question.header.nlmsg_len},
                            address::from_sockaddr(reinterpret_cast<const sockaddr*>(&kernel), sizeof kernel)));
  EXPECT_TRUE(serve_until(pump, [&] { return answered; }));
}

TEST_P(seed, raw_sockets_work) {
  const int raw = ::socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, 253);  // a protocol for experiments (RFC 3692)
  if (raw < 0) GTEST_SKIP() << "a raw socket needs CAP_NET_RAW";
  datagram_socket here = datagram_socket::adopt(raw);
  std::string payload;
  pump pump{here, [&](datagram& received) { payload = received.text().substr(20); }, {}, GetParam()};
  ASSERT_FALSE(here.send_to("raw bytes", address::parse("127.0.0.1:0")));
  ASSERT_TRUE(serve_until(pump, [&] { return !payload.empty(); }));
  EXPECT_EQ(payload, "raw bytes");
}

// cannot be removed (a caveat)
TEST_P(seed, a_pump_can_be_removed) {
  pump pump{socket, [&](datagram&) { pump.stop(), end_loop(); }, {}, GetParam()};
  const libevent_watch watch{base, pump};
  ASSERT_FALSE(client.send("first"));
  ASSERT_FALSE(client.send("second"));
  loop();
  const timeval at_most{.tv_sec = 0, .tv_usec = 20'000};
  event_base_loopexit(base, &at_most);
  loop();
  EXPECT_EQ(pump.stats().received, 1u);
  EXPECT_EQ(received(socket, 0ms), "second");
}

}  // namespace
