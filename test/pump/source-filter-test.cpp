#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "support/serve.hpp"
#include "support/sockets.hpp"
#include "support/waiters.hpp"
#include "udppump/pump.hpp"

using namespace udppump;

namespace {

/// A pump that keeps what its handler gets.
class filtered {
 public:
  explicit filtered(datagram_socket& socket, source_filter filter, std::size_t budget = 64)
      : pump_{socket,
              [this](datagram& received) { texts_.emplace_back(received.text()); },
              {.budget_datagrams = budget, .ignore_from = std::move(filter)}} {}

  /// Everything that was delivered until "end" came.
  std::vector<std::string> delivered() {
    EXPECT_TRUE(serve_until(pump_, [&] { return !texts_.empty() && texts_.back() == "end"; }));
    return texts_;
  }
  class pump& pump() {
    return pump_;
  }

 private:
  std::vector<std::string> texts_;
  class pump pump_;
};

using texts = std::vector<std::string>;

std::uint16_t port_of(const datagram_socket& socket) { return socket.local().port(); }

TEST(source_filter, what_comes_from_a_port_that_is_listed_is_dropped_and_counted) {
  for (const char* where : available({"127.0.0.1:0", "[::1]:0"})) {
    auto socket = bound({}, where);
    const auto unwanted = bound({}, where);
    const auto second = bound({}, where);
    const auto client = bound({}, where);
    filtered served{socket, {.ports = {port_of(second), port_of(unwanted), 7}}};
    for (const auto* from : {&unwanted, &client, &second, &unwanted}) {
      ASSERT_FALSE(from->send_to(from == &client ? "wanted" : "unwanted", socket.local()));
    }
    ASSERT_FALSE(client.send_to("end", socket.local()));
    EXPECT_EQ(served.delivered(), (texts{"wanted", "end"})) << where;
    EXPECT_EQ(served.pump().stats().ignored, 3u);
    EXPECT_EQ(served.pump().stats().received, 2u);
    EXPECT_EQ(served.pump().stats().bytes, 9u);
  }
}

TEST(source_filter, of_ipv4_on_a_dual_stack_socket_the_port_counts_too) {
  if (!has_ipv6()) GTEST_SKIP() << "no IPv6 here";
  auto socket = bound({}, "[::]:0");
  const auto unwanted = bound();
  const auto client = bound();
  filtered served{socket, {.ports = {port_of(unwanted)}}};
  ASSERT_FALSE(unwanted.send_to("unwanted", with_port_of("127.0.0.1", socket)));
  ASSERT_FALSE(client.send_to("end", with_port_of("127.0.0.1", socket)));
  EXPECT_EQ(served.delivered(), texts{"end"});
}

TEST(source_filter, what_a_socket_sends_to_itself_is_delivered_unless_its_own_address_is_ignored) {
  for (const char* where : available({"127.0.0.1:0", "[::1]:0", "[::]:0", "0.0.0.0:0"})) {
    for (const bool ignored : {false, true}) {
      auto socket = bound({}, where);
      const bool v6 = socket.local().is_ipv6();
      const address own = with_port_of(v6 ? "[::1]" : "127.0.0.1", socket);
      const auto client = bound({}, v6 ? "[::1]:0" : "127.0.0.1:0");
      filtered served{socket, {.own_address = ignored}};
      ASSERT_FALSE(socket.send_to("own", own));
      ASSERT_FALSE(client.send_to("end", own));
      EXPECT_EQ(served.delivered(), ignored ? texts{"end"} : (texts{"own", "end"})) << where;
      EXPECT_EQ(served.pump().stats().ignored, ignored ? 1u : 0u);
    }
  }
}

TEST(source_filter, of_a_unix_socket_its_own_name_is_known_and_an_unnamed_sender_is_not_taken_for_it) {
  const auto name = [](const char* which) {
    return address::parse("unix:@udppump-source-filter-" + std::to_string(::getpid()) + which);
  };
  auto socket = datagram_socket::bind(name("server"));
  const auto client = datagram_socket::connect(name("server"));
  filtered served{socket, source_filter::against_loops()};
  ASSERT_FALSE(socket.send_to("own", name("server")));
  ASSERT_FALSE(client.send("unnamed"));
  ASSERT_FALSE(client.send("end"));
  EXPECT_EQ(served.delivered(), (texts{"unnamed", "end"}));
}

TEST(source_filter, against_loops_another_server_of_the_same_port_is_not_answered) {
  auto socket = bound();
  const auto other = bound({}, ("127.0.0.2:" + std::to_string(port_of(socket))).c_str());
  const auto client = bound();
  filtered served{socket, source_filter::against_loops()};
  ASSERT_FALSE(other.send_to("answer me", socket.local()));
  ASSERT_FALSE(client.send_to("end", socket.local()));
  EXPECT_EQ(served.delivered(), texts{"end"});
  const auto filter = source_filter::against_loops();
  EXPECT_EQ(filter.ports, (std::vector<std::uint16_t>{0, 7, 11, 13, 17, 19, 37}));
  EXPECT_FALSE(filter.empty());
  EXPECT_TRUE(source_filter{}.empty());
}

TEST(source_filter, each_of_joined_datagrams_is_counted) {
  auto socket = bound_for_joined();
  if (!socket.control().segments) GTEST_SKIP() << "UDP_GRO is unknown here";
  const auto unwanted = bound();
  const auto client = bound();
  filtered served{socket, {.ports = {port_of(unwanted)}}};
  ASSERT_FALSE(unwanted.send_to("aaabbbc", socket.local(), {.segment_size = 3}));
  ASSERT_FALSE(client.send_to("end", socket.local()));
  EXPECT_EQ(served.delivered(), texts{"end"});
  EXPECT_EQ(served.pump().stats().ignored, 3u);
}

TEST(source_filter, a_flood_of_what_is_dropped_ends_turns_as_any_other) {
  auto socket = bound({.receive_buffer = 1 << 20});
  const auto unwanted = bound();
  const auto client = bound();
  filtered served{socket, {.ports = {port_of(unwanted)}}, 4};
  for (int count = 0; count < 12; ++count) ASSERT_FALSE(unwanted.send_to("unwanted", socket.local()));
  ASSERT_FALSE(client.send_to("end", socket.local()));
  EXPECT_EQ(served.pump().stats().ignored, 0u);
  EXPECT_FALSE(served.pump().dispatch());
  EXPECT_EQ(served.pump().stats().ignored, 4u);
  EXPECT_EQ(served.pump().stats().budget_yields, 1u);
  EXPECT_EQ(served.delivered(), texts{"end"});
  EXPECT_EQ(served.pump().stats().ignored, 12u);
}

}  // namespace
