// Which workers a pool's parent tells to look at their sockets, step by step.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

#include "pool/board.hpp"
#include "pool/stranded.hpp"
#include "support/sockets.hpp"

using namespace udppump;
using namespace std::chrono_literals;
using detail::page_state;
using detail::stranded_watch;

namespace {

/// Two workers that serve, though nobody is there, and a socket in which a datagram waits.
struct stranded : testing::Test {
  stranded() {
    sockets.push_back(bound());
    for (std::size_t at = 0; at < 2; ++at) {
      EXPECT_EQ(shared.claim(at), at);
      page(at).state = page_state::serving;
      page(at).served_lanes = 1;
      static_cast<void>(shared.page_signal(at));
    }
    EXPECT_FALSE(sockets[0].send_to("x", sockets[0].local()));
    watch.emplace(shared, sockets);
    watch->arrived(now);
  }
  detail::worker_page& page(std::size_t at) { return shared.page(at); }
  /// When it wants to; how many are kicked.
  unsigned look() {
    now = watch->next();
    return watch->kick_idle_workers(now);
  }

  detail::board shared{2, 0};
  std::vector<datagram_socket> sockets;
  stranded_watch::clock::time_point now = stranded_watch::clock::now();
  std::optional<stranded_watch> watch;
};

TEST_F(stranded, workers_are_kicked_that_left_it_at_two_looks_and_not_at_one) {
  for (std::uint64_t kicks = 1; kicks <= 3; ++kicks) {
    EXPECT_EQ(look(), 0u) << "they may just be waking";
    EXPECT_EQ(watch->next() - now, 2ms);
    EXPECT_EQ(look(), 2u);
    EXPECT_EQ(watch->next() - now, 10ms) << "time for what they were told";
    EXPECT_EQ(page(0).looks, kicks);
    EXPECT_EQ(page(1).counts.kicks, kicks);
  }
}

TEST_F(stranded, who_received_something_in_between_or_is_busy_or_full_is_left_alone) {
  EXPECT_EQ(look(), 0u);
  page(0).counts.lanes[0].received = 1;
  EXPECT_EQ(look(), 1u);
  EXPECT_EQ(page(0).looks, 0u);
  EXPECT_EQ(look(), 0u);
  page(0).handling_since = 1;
  page(1).full = 1;
  EXPECT_EQ(look(), 0u);
  page(0).handling_since = 0;
  page(0).state = page_state::stopping;
  EXPECT_EQ(look(), 0u);
  EXPECT_EQ(look(), 0u);
}

TEST_F(stranded, nobody_is_kicked_if_it_was_taken_and_after_a_while_nobody_looks) {
  EXPECT_EQ(look(), 0u);
  EXPECT_TRUE(watch->wants_to_know().empty());
  EXPECT_EQ(received(sockets[0]), "x");
  for (int time = 0; time < 49; ++time) {
    EXPECT_EQ(look(), 0u);
    EXPECT_EQ(watch->next() - now, 10ms);
  }
  EXPECT_EQ(look(), 0u);
  EXPECT_EQ(watch->next(), stranded_watch::clock::time_point::max());
  EXPECT_EQ(watch->wants_to_know().size(), 1u) << "then the socket tells";
  watch->arrived(now);
  EXPECT_TRUE(watch->wants_to_know().empty());
  EXPECT_EQ(watch->next() - now, 10ms);
}

}  // namespace
