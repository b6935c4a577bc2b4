// What workers meet while receiving comes to the log of the pool, at a bounded rate.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <system_error>

#include "support/asking_client.hpp"
#include "support/network.hpp"
#include "support/pool_process.hpp"
#include "support/serve.hpp"

using namespace udppump;
using namespace std::chrono_literals;

namespace {

/// Sends something to the address that is asked for, and then answers.
pool_process::serving sends_where_asked(pump_options each = {}) {
  return [each](worker_pool& pool) {
    return pool.run([each](worker& self) {
      const auto handler = [&self](datagram& received) {
        static_cast<void>(self.sockets()[0].send_to("x", address::parse(std::string{received.text()})));
        received.reply("sent");
      };
      static_cast<void>(self.serve(handler, each));
    });
  };
}

/// One at which nobody listens, so that the kernel answers by ICMP.
std::string closed_port() { return bound().local().to_string(); }

TEST(worker_errors, icmp_errors_of_many_are_logged_with_their_peer_once_in_a_while) {
  for (const worker_model model : {worker_model::processes, worker_model::threads}) {
    const auto begin = std::chrono::steady_clock::now();
    pool_process pool{{.socket = {.icmp_errors = true}, .workers = 2, .model = model}, sends_where_asked()};
    const asking_client client{pool.address()};
    const std::string nobody = closed_port();
    EXPECT_EQ(client.ask(nobody), "sent");
    EXPECT_TRUE(pool.says("icmp-error: worker ")) << pool.log();
    EXPECT_TRUE(pool.says(" had an ICMP error: \"Connection refused, of a datagram to " + nobody + '"')) << pool.log();
    for (int asked = 0; asked < 100; ++asked) EXPECT_EQ(client.ask(nobody), "sent");
    EXPECT_EQ(pool.stop(), 0);
    // The rest comes at the end, in one line.
    EXPECT_TRUE(pool.has_said(" such errors of all workers")) << pool.log();
    const auto took = std::chrono::steady_clock::now() - begin;
    EXPECT_LE(pool.count("icmp-error: "), 2u + static_cast<std::size_t>(took / 10s)) << pool.log();
    EXPECT_GE(pool.count("icmp-error: "), 2u);
  }
}

TEST(worker_errors, those_of_a_worker_that_died_are_logged_too) {
  pool_process pool{{.socket = {.icmp_errors = true}, .workers = 1}, sends_where_asked()};
  const asking_client client{pool.address()};
  const std::string nobody = closed_port();
  EXPECT_EQ(client.ask(nobody), "sent");
  EXPECT_TRUE(pool.says("icmp-error: ")) << pool.log();
  // The kernel answers by ICMP at most so many times in a second, whoever asks (sysctl net.ipv4.icmp_msgs_per_sec).
  for (int asked = 0; asked < 200; ++asked) {
    EXPECT_EQ(client.ask(nobody), "sent");
    std::this_thread::sleep_for(1ms);
  }
  ::kill(pool.workers().at(0), SIGKILL);
  EXPECT_TRUE(pool.says("worker-died: "));
  EXPECT_EQ(pool.stop(), 0);
  EXPECT_GE(pool.count("icmp-error: "), 2u) << pool.log();  // the first at once, the rest at the end
  EXPECT_FALSE(pool.has_said("pump-ended: ")) << pool.log();
}

TEST(worker_errors, an_interface_that_goes_and_comes_is_told_each_time_at_once_and_is_no_error) {
  std::unique_ptr<wire> laid;
  try {
    laid = std::make_unique<wire>();
  } catch (const std::system_error& refused) {
    GTEST_SKIP() << refused.what();
  }
  laid->here.inside([&] {
    auto pool = pool_process::serving_with({.socket = {.device = "near"}, .workers = 8},
                                           [](datagram& received) { received.reply(received.payload); });
    ASSERT_TRUE(pool.says("serving: "));
    bool was_quick = false;  // once at least, as the machine may be slow
    for (int times = 0; times < 2 && !was_quick; ++times) {
      const std::size_t gone = pool.count("near\\\" was deleted: "), back = pool.count("bound to the new one");
      laid->cut();
      ASSERT_TRUE(eventually([&] { return pool.count("near\\\" was deleted: ") > gone; })) << pool.log();
      const auto begin = std::chrono::steady_clock::now();
      laid->lay();
      ASSERT_TRUE(eventually([&] { return pool.count("bound to the new one") > back; })) << pool.log();
      was_quick = std::chrono::steady_clock::now() - begin < 8s;
    }
    EXPECT_TRUE(was_quick) << pool.log();
    EXPECT_EQ(pool.stop(), 0);
    // There are more of them than lines.
    EXPECT_TRUE(pool.has_said(" such reports of all workers")) << pool.log();
    EXPECT_FALSE(pool.has_said(" such errors of all workers")) << pool.log();
  });
}

TEST(worker_errors, that_a_worker_did_not_meet_are_not_logged_when_the_next_one_dies) {
  pool_process pool{{.socket = {.icmp_errors = true}, .workers = 1}, sends_where_asked()};
  ASSERT_TRUE(pool.says("serving: "));
  for (std::size_t death = 1; death <= 3; ++death) {
    ::kill(pool.workers().at(0), SIGKILL);
    ASSERT_TRUE(eventually([&] { return pool.count("worker-died: ") == death && pool.workers().size() == 1; }));
  }
  EXPECT_EQ(pool.stop(), 0);
  for (const char* event : {"receive-error: ", "icmp-error: ", "control-truncated: ", "interface: ", "pump-ended: "}) {
    EXPECT_FALSE(pool.has_said(event)) << pool.log();
  }
}

TEST(worker_errors, what_the_programs_own_on_error_hears_is_its_own) {
  const shared<std::atomic<int>> heard;
  const auto listen = [&heard](const receive_error&) { ++*heard; };
  pool_process pool{{.socket = {.icmp_errors = true}, .workers = 1}, sends_where_asked({.on_error = listen})};
  const asking_client client{pool.address()};
  EXPECT_EQ(client.ask(closed_port()), "sent");
  EXPECT_TRUE(eventually([&] { return *heard == 1; }));
  EXPECT_EQ(pool.stop(), 0);
  EXPECT_FALSE(pool.has_said("icmp-error: ")) << pool.log();
}

}  // namespace
