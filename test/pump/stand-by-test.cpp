// While handlers are brief, one worker at a time waits for the socket and the others stand by (pump_options::stand_by).
#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <udppump/pump.hpp>
#include <vector>

#include "pump/meter.hpp"
#include "pump/queue_line.hpp"
#include "pump/stand_by.hpp"
#include "support/process.hpp"
#include "support/serve.hpp"
#include "support/waiters.hpp"
#include "sys/shared_line.hpp"

using namespace udppump;
using namespace std::chrono_literals;

namespace {

constexpr int workers = 4;

struct told {
  std::atomic<int> served{0};
  std::atomic<int> served_meanwhile{0};
  std::atomic<std::uint64_t> stood_by{0};
  std::atomic<bool> inside{false}, released{false};
};

/// Over all threads of a process, since it began.
std::uint64_t voluntary_switches(pid_t process) {
  std::uint64_t sum = 0;
  for (const auto& task : std::filesystem::directory_iterator{"/proc/" + std::to_string(process) + "/task"}) {
    std::ifstream status{task.path() / "status"};
    for (std::string line; std::getline(status, line);) {
      if (line.starts_with("voluntary_ctxt_switches:")) sum += std::stoull(line.substr(line.find(':') + 1));
    }
  }
  return sum;
}

class standing_by : public every_waiter {
 protected:
  /// Workers with a handler that takes no time, but for the datagram "long".
  void start(std::chrono::microseconds stand_by) {
    for (int worker = 0; worker < workers; ++worker) {
      children.emplace_back([this, stand_by] {
        pump* self = nullptr;
        const auto handle = [&](datagram& received) {
          if (received.text() == "long") {
            note->inside = true;
            eventually([&] { return note->released.load(); });
          } else if (received.text() == "count") {
            note->stood_by += self->stats().stood_by;
            self->stop();
          } else {
            if (note->inside && !note->released) ++note->served_meanwhile;
            ++note->served;
          }
        };
        pump pump{socket, handle, {.stand_by = stand_by}, GetParam()};
        self = &pump;
        return pump.run() ? 1 : 0;
      });
    }
  }

  /// Never more than the kernel's queue takes.
  void flood() {
    for (int batch = 0; batch < 100; ++batch) {
      for (int sent = 0; sent < 100; ++sent) ASSERT_FALSE(client.send("x"));
      expected += 100;
      ASSERT_TRUE(eventually([&] { return note->served == expected; })) << note->served << " of " << expected;
    }
  }

  /// How often all of them stood by; ends them.
  std::uint64_t stop() {
    for (auto& child : children) {
      static_cast<void>(child);
      EXPECT_FALSE(client.send("count"));  // taken by one, which ends
    }
    for (auto& child : children) EXPECT_EQ(child.join(), 0);
    children.clear();
    return note->stood_by;
  }

  datagram_socket socket = bound({.receive_buffer = 1 << 20});
  datagram_socket client = datagram_socket::connect(socket.local());
  shared<told> note;
  std::vector<child_process> children;
  int expected = 0;
};
UDPPUMP_UNDER_EVERY_WAITER(standing_by);

TEST_P(standing_by, brief_handlers_leave_the_queue_to_one_worker) {
  // Who is quicker than whom is the scheduler's business, so one flood may pass without.
  for (int round = 0; round < 20 && note->stood_by == 0; ++round) {
    start(2ms);
    flood();
    stop();
  }
  EXPECT_GT(note->stood_by, 0u);
}

TEST_P(standing_by, it_is_left_out_where_nobody_wants_it) {
  start(0us);
  flood();
  EXPECT_EQ(stop(), 0u);
}

TEST_P(standing_by, a_handler_that_is_suddenly_long_holds_nobody_up) {
  start(2ms);
  for (int round = 0; round < 10; ++round) {
    flood();
    note->inside = note->released = false;
    note->served_meanwhile = 0;
    ASSERT_FALSE(client.send("long"));
    for (int sent = 0; sent < 10; ++sent) ASSERT_FALSE(client.send("x"));
    expected += 10;
    // The long one ends only when the others have been served by somebody else.
    EXPECT_TRUE(eventually([&] { return note->inside && note->served == expected; })) << note->served_meanwhile;
    note->released = true;
  }
  stop();
}

TEST_P(standing_by, nobody_looks_for_datagrams_when_the_flood_is_over) {
#if defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "the sanitizer has a thread that wakes by itself";
#endif
  start(2ms);
  flood();
  const auto switches = [&] {
    std::uint64_t sum = 0;
    for (const auto& child : children) sum += voluntary_switches(child.pid());
    return sum;
  };
  EXPECT_TRUE(eventually([&] {
    const auto before = switches();
    std::this_thread::sleep_for(100ms);  // fifty times as long as they stand by
    return switches() == before;
  }));
  stop();
}

TEST_P(standing_by, bad_times_are_refused) {
  EXPECT_THROW((pump{socket, [](datagram&) {}, {.stand_by = -1us}, GetParam()}), std::invalid_argument);
  EXPECT_THROW((pump{socket, [](datagram&) {}, {.stand_by = 2s}, GetParam()}), std::invalid_argument);
}

/// One turn, whose handler takes so long at least.
void handle_once(detail::meter& meter, std::chrono::milliseconds time) {
  const std::shared_ptr<detail::worker_link> no_pool;
  detail::meter::turn turn{meter, detail::meter::clock::now(), no_pool, 0};
  turn.received(true);
  if (time > 0ms) std::this_thread::sleep_for(time);
}

TEST(meter, calls_handlers_brief_after_many_that_were_until_a_few_were_not) {
  detail::meter meter;
  EXPECT_FALSE(meter.brief());
  for (int time = 0; time < 2; ++time) {
    // On a busy machine the scheduler makes some of them long.
    EXPECT_TRUE(eventually([&] {
      for (int turn = 0; turn < 100; ++turn) handle_once(meter, 0ms);
      return meter.brief();
    }));
    for (int turn = 0; turn < 8; ++turn) handle_once(meter, 1ms);
    EXPECT_FALSE(meter.brief());
  }
  EXPECT_GE(meter.handler_time(), 16ms);
}

using detail::leader_note;

TEST(leader_note, is_heard_of_in_a_forked_process) {
  const auto line = detail::make_shared_line();
  leader_note* const note = detail::queue_line::leader_in(line.get());
  ASSERT_NE(note, nullptr);
  EXPECT_EQ(note->last_armed(), leader_note::clock::time_point{});
  const auto now = leader_note::clock::now();
  child_process child{[&] { note->arming(now); }};
  EXPECT_EQ(child.join(), 0);
  EXPECT_EQ(note->last_armed(), now);
}

TEST(stand_by, a_worker_leads_until_another_armed_later) {
  const auto line = detail::make_shared_line();
  detail::stand_by one{detail::queue_line::leader_in(line.get())}, other{detail::queue_line::leader_in(line.get())};
  EXPECT_FALSE(one.another_leads()) << "nobody armed so far";
  EXPECT_FALSE(one.another_leads()) << "it leads by itself";
  // As if armed just now, however slow this machine is.
  detail::queue_line::leader_in(line.get())->arming(leader_note::clock::now() + 1h);
  EXPECT_TRUE(one.another_leads());
  EXPECT_TRUE(other.another_leads());
}

TEST(stand_by, a_leader_that_armed_long_ago_is_followed_by_the_next) {
  const auto line = detail::make_shared_line();
  detail::queue_line::leader_in(line.get())->arming(leader_note::clock::now() - 1ms);
  detail::stand_by one{detail::queue_line::leader_in(line.get())};
  EXPECT_FALSE(one.another_leads());
}

TEST(stand_by, nobody_stands_by_if_there_is_no_shared_memory) {
  detail::stand_by one{nullptr};
  EXPECT_FALSE(one.another_leads());
}

}  // namespace
