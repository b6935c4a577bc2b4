// pump_options::client_share: while a queue is behind, a client that floods loses, and nobody else.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "support/serve.hpp"
#include "support/sockets.hpp"
#include "support/waiters.hpp"
#include "udppump/pump.hpp"

using namespace udppump;
using namespace std::chrono_literals;

namespace {

/// Keeps a socket's queue from ever being empty, from one address; another sends a little beside it.
class flood {
 public:
  explicit flood(const address& server)
      : thread_{[this, server] {
          const auto socket = bound({}, "127.0.0.2:0"), honest = bound();
          for (unsigned turn = 0; !is_over_; ++turn) {
            for (int count = 0; count < 20; ++count) static_cast<void>(socket.send_to("flood", server));
            if (turn % 8 == 0) static_cast<void>(honest.send_to("honest", server));
            std::this_thread::sleep_for(1ms);
          }
        }} {}
  ~flood() {
    is_over_ = true;
    thread_.join();
  }

 private:
  std::atomic<bool> is_over_{false};
  std::thread thread_;
};

/// Handlers that take a millisecond: the flood is twenty times what one worker can do.
struct slow {
  explicit slow(datagram_socket& socket, pump_options options, waiter_kind waiter = waiter_kind::automatic)
      : pump{socket,
             [this](datagram& one) {
               if (one.text() == "honest") return static_cast<void>(++honest);
               ++flooded;
               std::this_thread::sleep_for(1ms);
             },
             told(std::move(options)), waiter} {}

  pump_options told(pump_options options) {
    options.on_limited = [this](datagram& one) { (one.text() == "honest" ? honest_dropped : flood_dropped)++; };
    return options;
  }

  std::uint64_t honest = 0, flooded = 0, honest_dropped = 0, flood_dropped = 0;
  class pump pump;
};

struct client_shares : every_waiter {};

TEST_P(client_shares, who_floods_is_dropped_and_counted_and_told_and_the_honest_one_is_served) {
  auto socket = bound({.receive_buffer = 1 << 20}, "0.0.0.0:0");
  const auto server = with_port_of("127.0.0.1", socket);
  slow one{socket, {.client_share = client_share::equal()}, in_loop(GetParam())};
  const flood running{server};
  ASSERT_TRUE(serve_until(one.pump, [&] { return one.flood_dropped > 100 && one.honest >= 30; }));
  EXPECT_LE(one.honest_dropped, one.honest / 2) << "at first, while the rate is searched for";
  EXPECT_GT(one.flooded, 0u) << "what the honest one leaves is the flooder's";
  const auto stats = one.pump.stats();
  EXPECT_EQ(stats.limited, one.flood_dropped + one.honest_dropped);
  EXPECT_EQ(stats.received, one.flooded + one.honest);
}

UDPPUMP_UNDER_EVERY_WAITER(client_shares);

TEST(client_share_of_pump, what_comes_all_at_once_is_served_whole) {
  auto socket = bound({.receive_buffer = 1 << 20});
  const auto client = bound();
  std::uint64_t served = 0;
  class pump pump {
    socket, [&](datagram&) { ++served; }, { .client_share = client_share::equal() }
  };
  for (int count = 0; count < 200; ++count) ASSERT_FALSE(client.send_to("x", socket.local()));
  ASSERT_TRUE(serve_until(pump, [&] { return served + pump.stats().limited == 200; }));
  EXPECT_EQ(served, 200u);
}

TEST(client_share_of_pump, goes_together_with_a_limit_and_an_age) {
  auto socket = bound({.receive_buffer = 1 << 20}, "0.0.0.0:0");
  const auto server = with_port_of("127.0.0.1", socket);
  slow one{
      socket,
      {.max_age = 10s, .client_limit = client_rate{.rate = 1, .burst = 1'000}, .client_share = client_share::equal()}};
  const flood running{server};
  ASSERT_TRUE(serve_until(one.pump, [&] { return one.flood_dropped > 100 && one.honest >= 2; }));
  EXPECT_LT(one.flooded, 1000u) << "the share is felt before the limit";
}

}  // namespace
