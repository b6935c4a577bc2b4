// The lanes of a port, and the order in which a group of pumps serves them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <udppump/lanes.hpp>
#include <udppump/pcap_match.hpp>
#include <udppump/pump_group.hpp>
#include <vector>

#include "support/serve.hpp"
#include "support/sockets.hpp"
#include "support/waiters.hpp"

using namespace udppump;
using testing::HasSubstr;

namespace {

/// What begins with "q" is quick, with "m" medium.
std::vector<lane> three_lanes() {
  return {{.name = "quick", .match = pcap_match("payload[0] = 0x71")},
          {.name = "medium", .match = pcap_match("payload[0] = 0x6d")},
          {.name = "rest"}};
}

std::string refusal_of(const std::vector<lane>& lanes, const char* where = "127.0.0.1:0", socket_options options = {}) {
  try {
    static_cast<void>(bind_lanes(address::parse(where), lanes, options));
  } catch (const std::exception& refused) {
    return refused.what();
  }
  return {};
}

/// Workers that are threads, each with a group on the first so many of the lanes, until this object ends.
class serving {
 public:
  serving(std::vector<datagram_socket>& sockets, const std::vector<std::size_t>& lanes_served, waiter_kind waiter,
          const std::function<void(datagram&)>& on_datagram) {
    for (const std::size_t count : lanes_served) {
      groups_.push_back(std::make_unique<pump_group>(pump_group_options{.waiter = waiter}));
      threads_.emplace_back([&sockets, count, on_datagram, group = groups_.back().get()] {
        std::vector<grouped_pump> pumps;
        for (std::size_t at = 0; at < count; ++at) pumps.push_back(group->add(sockets[at], on_datagram));
        EXPECT_FALSE(group->run());
      });
    }
  }
  ~serving() {
    for (const auto& each : groups_) each->request_stop();
  }

 private:
  std::vector<std::unique_ptr<pump_group>> groups_;
  std::vector<std::jthread> threads_;  // joined before the groups go
};

class lanes_under : public every_waiter {
 protected:
  void send(const std::string& text) const { ASSERT_FALSE(client.send_to(text, sockets[0].local())); }

  std::vector<datagram_socket> sockets = bind_lanes(address::parse("127.0.0.1:0"), three_lanes());
  datagram_socket client = datagram_socket::bind(address::parse("127.0.0.1:0"));
  std::vector<std::string> came;
};
UDPPUMP_UNDER_EVERY_WAITER(lanes_under);

}  // namespace

TEST(lanes, are_sockets_in_their_order_on_one_port) {
  const auto sockets = bind_lanes(address::parse("127.0.0.1:0"), three_lanes());
  ASSERT_EQ(sockets.size(), 3u);
  for (std::size_t at = 0; at < sockets.size(); ++at) {
    EXPECT_EQ(sockets[at].lane(), at);
    EXPECT_EQ(sockets[at].local(), sockets[0].local());
  }
  EXPECT_NE(sockets[0].local().port(), 0);
  EXPECT_EQ(datagram_socket::bind(address::parse("127.0.0.1:0")).lane(), 0u);
}

TEST(lanes, have_receive_buffers_of_their_own) {
  auto lanes = three_lanes();
  lanes[0].receive_buffer = 65'536;
  const auto sockets = bind_lanes(address::parse("127.0.0.1:0"), lanes, {.receive_buffer = 131'072});
  EXPECT_EQ(sockets[0].receive_buffer().asked, 65'536u);
  EXPECT_EQ(sockets[1].receive_buffer().asked, 131'072u);
}

TEST(lanes, take_no_port_that_somebody_has_even_if_that_one_would_share_it) {
  const auto taken = datagram_socket::bind(address::parse("127.0.0.1:0"), {.reuse_port = true});
  EXPECT_THAT(refusal_of(three_lanes(), taken.local().to_string().c_str()), HasSubstr(taken.local().to_string()));
  const auto first = bind_lanes(address::parse("127.0.0.1:0"), three_lanes());
  EXPECT_NE(refusal_of(three_lanes(), first[0].local().to_string().c_str()), "");
  EXPECT_NE(refusal_of(three_lanes(), first[0].local().to_string().c_str(), {.reuse_port = true}), "");
}

TEST(lanes, a_stranger_that_joins_the_group_gets_nothing) {
  const auto sockets = bind_lanes(address::parse("127.0.0.1:0"), three_lanes());
  const auto stranger = datagram_socket::bind(sockets[0].local(), {.reuse_port = true});
  const auto client = datagram_socket::bind(address::parse("127.0.0.1:0"));
  for (int sent = 0; sent < 100; ++sent) {
    for (const char* text : {"q", "m", "x"}) ASSERT_FALSE(client.send_to(text, sockets[0].local()));
  }
  std::byte buffer[16];
  EXPECT_FALSE(stranger.receive(buffer));
  const char* const expected[] = {"q", "m", "x"};
  for (const auto& socket : sockets) {
    for (int taken = 0; taken < 100; ++taken) {
      const auto one = socket.receive(buffer, patience);
      ASSERT_TRUE(one) << socket.lane() << ' ' << taken;
      EXPECT_EQ(one.text(), expected[socket.lane()]);
    }
  }
}

TEST(lanes, that_make_no_sense_are_refused) {
  const auto match = pcap_match("payload[0] = 1");
  EXPECT_THAT(refusal_of({}), HasSubstr("2 to 16"));
  EXPECT_THAT(refusal_of({{.name = "rest"}}), HasSubstr("2 to 16"));
  EXPECT_THAT(refusal_of({{.name = "a", .match = match}, {.name = "b", .match = match}}), HasSubstr("omit the match"));
  EXPECT_THAT(refusal_of({{.name = "a"}, {.name = "b"}}), HasSubstr("give it a match"));
  EXPECT_THAT(refusal_of({{.name = "a", .match = match}, {.name = "a"}}), HasSubstr("rename"));
  for (const char* name : {"", "a b", "a:b", "a=b", "a.b", "+a", "@a"}) {
    EXPECT_THAT(refusal_of({{.name = name, .match = match}, {.name = "rest"}}), HasSubstr("letters")) << name;
  }
  std::vector<lane> many;
  for (int at = 0; at < 16; ++at) many.push_back({.name = "l" + std::to_string(at), .match = match});
  many.push_back({.name = "rest"});
  EXPECT_THAT(refusal_of(many), HasSubstr("17 of them"));
}

TEST(lanes, of_what_the_kernel_does_not_sort_are_refused_with_the_reason) {
  EXPECT_THAT(refusal_of(three_lanes(), "unix:/tmp/never-bound"), HasSubstr("not of UDP"));
  EXPECT_THAT(refusal_of(three_lanes(), "239.1.2.3:0"), HasSubstr("every socket"));
  EXPECT_THAT(refusal_of(three_lanes(), "0.0.0.0:0", {.join = {{address::parse("239.1.2.3:0")}}}), HasSubstr("join"));
  EXPECT_THAT(refusal_of(three_lanes(), "127.0.0.1:0", {.receive_offload = true}), HasSubstr("receive_offload"));
}

TEST(lanes, of_more_than_the_kernel_takes_are_refused_before_anything_is_bound) {
  std::string long_one = "payload[0] = 1";
  for (int more = 0; more < 2000; ++more) long_one += " or payload[" + std::to_string(more) + ":2] = 77";
  const auto where = datagram_socket::bind(address::parse("127.0.0.1:0")).local();
  EXPECT_THAT(refusal_of({{.name = "a", .match = pcap_match(long_one)}, {.name = "rest"}}, where.to_string().c_str()),
              HasSubstr("4096"));
  EXPECT_NO_THROW(datagram_socket::bind(where));
}

TEST_P(lanes_under, a_group_serves_the_first_lanes_first_and_after_each_datagram_of_a_later_one) {
  pump_group group{{.waiter = GetParam()}};
  std::vector<grouped_pump> pumps;
  // Added in another order, and ready all at once.
  for (const std::size_t at : {2u, 0u, 1u}) {
    pumps.push_back(group.add(sockets[at], [&, at](datagram& one) {
      EXPECT_EQ(one.lane(), at);
      came.emplace_back(one.text());
      if (one.text() == "x1") send("q-late"), send("m-late");
    }));
  }
  for (const char* text : {"x1", "x2", "m1", "m2", "q1", "q2"}) send(text);
  EXPECT_TRUE(serve_until(group, [&] { return came.size() == 8; }));
  EXPECT_THAT(came, testing::ElementsAre("q1", "q2", "m1", "m2", "x1", "q-late", "m-late", "x2"));
}

TEST_P(lanes_under, a_lane_that_has_more_than_its_turn_takes_goes_on_before_later_ones) {
  pump_group group{{.waiter = GetParam()}};
  std::vector<grouped_pump> pumps;
  for (auto& socket : sockets) {
    pumps.push_back(group.add(socket, [&](datagram& one) { came.emplace_back(one.text()); }, {.budget_datagrams = 1}));
  }
  for (const char* text : {"x1", "m1", "m2", "q1", "q2", "q3"}) send(text);
  EXPECT_TRUE(serve_until(group, [&] { return came.size() == 6; }));
  EXPECT_THAT(came, testing::ElementsAre("q1", "q2", "q3", "m1", "m2", "x1"));
}

TEST_P(lanes_under, a_pump_may_end_with_its_socket_in_its_handler) {
  auto own = std::make_unique<std::vector<datagram_socket>>(bind_lanes(address::parse("127.0.0.1:0"), three_lanes()));
  const address where = own->front().local();
  pump_group group{{.waiter = GetParam()}};
  std::vector<grouped_pump> pumps;
  for (auto& socket : *own) {
    pumps.push_back(group.add(socket, [&](datagram& one) {
      came.emplace_back(one.text());
      pumps.clear();
      own.reset();
    }));
  }
  ASSERT_FALSE(client.send_to("x", where));
  EXPECT_TRUE(serve_until(group, [&] { return !came.empty(); }));
  EXPECT_EQ(group.size(), 0u);
  EXPECT_FALSE(group.dispatch());
}

TEST_P(lanes_under, a_worker_without_pumps_on_later_lanes_is_free_for_the_first) {
  std::atomic<int> in_handler{0}, quick{0};
  std::atomic<bool> may_end{false};
  const serving workers{sockets, {1, 3, 3}, GetParam(), [&](datagram& one) {
                          if (one.lane() == 0) {
                            ++quick;
                            return;
                          }
                          ++in_handler;
                          EXPECT_TRUE(eventually([&] { return may_end.load(); }));
                        }};
  for (int sent = 0; sent < 4; ++sent) send("x");
  ASSERT_TRUE(eventually([&] { return in_handler == 2; })) << "both others are busy, and two wait";
  for (int sent = 1; sent <= 20; ++sent) {
    send("q");
    EXPECT_TRUE(eventually([&] { return quick == sent; })) << sent;
  }
  EXPECT_EQ(in_handler, 2);
  may_end = true;
  EXPECT_TRUE(eventually([&] { return in_handler == 4; }));
}

TEST_P(lanes_under, idle_workers_serve_whichever_lane_something_comes_to) {
  std::atomic<int> served{0};
  {
    const serving workers{sockets, {3, 3, 3}, GetParam(), [&](datagram&) { ++served; }};
    for (int sent = 0; sent < 300; ++sent) {
      send(sent % 3 == 0 ? "q" : sent % 3 == 1 ? "m" : "x");
      if (sent % 10 != 9) continue;
      EXPECT_TRUE(eventually([&] { return served == sent + 1; })) << sent;
    }
  }
  EXPECT_EQ(served, 300);
}
