#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <limits>
#include <memory>
#include <random>
#include <regex>
#include <span>
#include <string>
#include <vector>

#include "pool/board.hpp"
#include "pool/pool_log.hpp"
#include "pool/redeliverer.hpp"
#include "support/asking_client.hpp"
#include "support/hostile_board.hpp"
#include "support/pool_process.hpp"
#include "sys/eventfd_notifier.hpp"
#include "sys/printable.hpp"

using namespace udppump;
using namespace std::chrono_literals;
using testing::HasSubstr;

namespace {

/// Bytes at random: of all kinds, or few different ones, as small numbers and all ones do the most.
std::vector<std::uint8_t> random_bytes(std::mt19937& random, std::size_t size) {
  std::vector<std::uint8_t> bytes(size);
  const auto kind = random() % 3;
  for (auto& one : bytes) {
    one = static_cast<std::uint8_t>(kind == 0 ? random() : kind == 1 ? random() % 4 : random() % 2 * 0xff);
  }
  return bytes;
}

TEST(hostile_board, any_bytes_in_it_do_the_parent_no_harm_and_forge_no_line) {
  const std::string file = temporary_path("poison-forged");
  std::remove(file.c_str());
  hostile_board hostile{file};
  std::mt19937 random{4711};
  for (int round = 0; round < 3000; ++round) {
    hostile.write(random_bytes(random, 1 + random() % 2000));
    hostile.read_all();
  }
  EXPECT_GT(hostile.counted(detail::tally::redelivered), 100u);
  EXPECT_GT(hostile.counted(detail::tally::poisoned), 100u);
  const std::regex form{
      R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ deaths=2 from=[!-~]* to=[!-~]* bytes=\d+ payload=([0-9a-f]{0,128}))"};
  std::uint64_t lines = 0;
  std::ifstream poison{file};
  for (std::string line; std::getline(poison, line); ++lines) EXPECT_TRUE(std::regex_match(line, form)) << line;
  EXPECT_EQ(lines, hostile.counted(detail::tally::poisoned)) << "each is one line, and no more are there";
  std::remove(file.c_str());
}

TEST(hostile_board, what_changes_while_the_parent_reads_it_does_no_harm_either) {
  hostile_board hostile;
  const child_process writer{[&] {
    std::mt19937 random{static_cast<unsigned>(::getpid())};
    for (;;) hostile.write(random_bytes(random, 1 + random() % 2000));
  }};
  EXPECT_TRUE(eventually([&] {
    for (int round = 0; round < 100; ++round) hostile.read_all();
    return hostile.counted(detail::tally::abandoned) > 100 && hostile.counted(detail::tally::redelivered) > 100;
  }));
}

TEST(hostile_board, nobody_can_cut_it_off_or_make_it_grow) {
  const detail::board shared{2, 64};
  EXPECT_EQ(::ftruncate(shared.memory_fd(), 0), -1);
  EXPECT_EQ(errno, EPERM);
  EXPECT_EQ(::ftruncate(shared.memory_fd(), 16 << 20), -1);
  EXPECT_EQ(errno, EPERM);
  EXPECT_EQ(::fcntl(shared.memory_fd(), F_ADD_SEALS, F_SEAL_WRITE), -1) << "nor seal it further";
  EXPECT_EQ(errno, EPERM);
}

TEST(hostile_board, pages_that_are_in_use_are_not_given_away_though_they_claim_to_be_free) {
  detail::board shared{2, 0};
  ASSERT_EQ(shared.claim(0), 0u);
  shared.page(0).state = detail::page_state::free;
  EXPECT_EQ(shared.claim(1), 1u);
  shared.page(1).state = detail::page_state::free;
  EXPECT_THROW(static_cast<void>(shared.claim(2)), std::system_error);
  shared.release(0);
  shared.page(0).state = detail::page_state::serving;
  EXPECT_EQ(shared.claim(3), 0u) << "and one that is free is, whatever it claims";
}

/// A parent's redeliverer, with one socket, and a worker on page 0.
struct claimed_board {
  detail::board shared{2, 64};
  const redelivery rules{.most = 1};
  std::vector<datagram_socket> sockets;
  const detail::pool_log log{[](const pool_event&) {}};
  std::unique_ptr<detail::redeliverer> redelivers;

  claimed_board() {
    sockets.push_back(datagram_socket::bind(address::parse("127.0.0.1:0")));
    redelivers = std::make_unique<detail::redeliverer>(rules, shared, sockets, log);
    shared.claim(0);
  }
};

TEST(hostile_board, what_a_worker_claims_to_have_taken_is_not_offered_if_nothing_was_there) {
  claimed_board one;
  one.shared.offered()[0].state = detail::kept_datagram::taken + 0;
  EXPECT_FALSE(one.redelivers->rescue(0));
  EXPECT_EQ(one.shared.counted(detail::tally::redelivered), 0u);
  EXPECT_NE(one.shared.offered()[0].state, detail::kept_datagram::offered);
}

TEST(hostile_board, a_datagram_of_a_socket_that_the_pool_does_not_have_is_given_up) {
  claimed_board one;
  auto& own = one.shared.own_of(0);
  for (const std::uint32_t socket : {1u, ~0u}) {
    own.header.msg_len = 5;
    own.socket = socket;
    EXPECT_FALSE(one.redelivers->rescue(0));
    EXPECT_EQ(one.shared.offered()[0].state, detail::kept_datagram::free);
  }
  EXPECT_EQ(one.shared.counted(detail::tally::abandoned), 2u);
  EXPECT_EQ(one.shared.counted(detail::tally::redelivered), 0u);
  own.header.msg_len = 5;
  own.socket = 0;
  EXPECT_TRUE(one.redelivers->rescue(0)) << "one of its own is offered";
}

/// The board, where this process has it.
std::span<char> board_of_this_process() {
  std::ifstream maps{"/proc/self/maps"};
  for (std::string line; std::getline(maps, line);) {
    if (line.find("/memfd:udppump-pool") == std::string::npos) continue;
    unsigned long begin = 0, end = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx", &begin, &end) != 2) continue;
    return {reinterpret_cast<char*>(begin), end - begin};
  }
  return {};
}

TEST(hostile_board, a_pool_whose_worker_overwrites_all_of_it_serves_on) {
  auto pool = pool_process::serving_with(
      {.workers = 2,
       .restart = {.first_delay = 1ms, .crash_limit = 1000},
       .redeliver = redelivery{},
       .stop_timeout = 300ms},
      [](datagram& received) {
        if (received.text() != "smash") return echo(received);
        const auto all = board_of_this_process();
        if (all.empty()) ::_exit(77);
        std::mt19937 random{static_cast<unsigned>(::getpid())};
        // But for what it may want of the parent, as it might ask for the end of the pool.
        auto& wanted = reinterpret_cast<detail::board_header&>(all[0]).requests;
        for (char& one : all) {
          if (&one < reinterpret_cast<char*>(&wanted) || &one >= reinterpret_cast<char*>(&wanted + 1)) {
            one = static_cast<char>(random());
          }
        }
        ::_exit(9);
      });
  const asking_client client{pool.address()};
  for (int round = 1; round <= 5; ++round) {
    const std::size_t deaths = pool.count("worker-died: ");
    client.send("smash");
    ASSERT_TRUE(eventually([&] { return pool.count("worker-died: ") > deaths; })) << pool.log();
    ASSERT_TRUE(eventually([&] {
      client.send("still there");
      return client.receive(100ms) == "still there";
    })) << pool.log();
    while (!client.receive(0ms).empty()) continue;
  }
  EXPECT_FALSE(pool.has_said("status 77")) << pool.log();
  // An order to stop may have been overwritten; then the worker is killed.
  EXPECT_THAT(pool.stop(), testing::AnyOf(0, static_cast<int>(pool_result::killed))) << pool.log();
}

TEST(hostile_board, the_log_has_the_true_id_and_marks_what_is_the_workers_own_account) {
  auto pool = pool_process{{.workers = 1}, [](worker_pool& made) {
                             return made.run([](worker& self) {
                               static_cast<void>(self.serve([](datagram& received) {
                                 if (received.text() != "lie") return echo(received);
                                 // Its page is the one of the two that bears its id.
                                 for (const std::uint32_t index : {0u, 1u}) {
                                   const std::size_t at = detail::board_geometry{.pages = 2}.page_at(index);
                                   auto& page = reinterpret_cast<detail::worker_page&>(board_of_this_process()[at]);
                                   if (page.pid != ::getpid()) continue;
                                   page.pid = 1;
                                   page.counts.lanes[0].handled = 4711;
                                   std::strcpy(page.last_words, "a\" \x1b[2J\nudppump: forged");
                                 }
                                 ::_exit(9);
                               }));
                             });
                           }};
  const asking_client client{pool.address()};
  const pid_t liar = pool.workers().at(0);
  client.send("lie");
  EXPECT_TRUE(pool.says("worker 0 (pid " + std::to_string(liar) + ") exited with status 9")) << pool.log();
  EXPECT_TRUE(pool.says("and 4711 datagrams by its own count; its last words: ")) << pool.log();
  EXPECT_FALSE(pool.has_said("pid 1)"));
  EXPECT_EQ(client.ask("y"), "y");
  EXPECT_EQ(pool.stop(), 0) << pool.log();
}

/// Every eventfd that this process has.
std::vector<int> eventfds() {
  std::vector<int> found;
  for (const auto& entry : std::filesystem::directory_iterator{"/proc/self/fd"}) {
    std::error_code gone;
    if (std::filesystem::read_symlink(entry.path(), gone).string() != "anon_inode:[eventfd]") continue;
    found.push_back(std::stoi(entry.path().filename().string()));
  }
  return found;
}

/// Leaves it blocking: full, or empty though it was notified.
void disturb(int eventfd, bool fills) {
  const std::uint64_t full = ~std::uint64_t{1};
  std::uint64_t count = 1;
  static_cast<void>(::fcntl(eventfd, F_SETFL, O_NONBLOCK));
  static_cast<void>(::write(eventfd, fills ? &full : &count, sizeof count) +
                    (fills ? 0 : ::read(eventfd, &count, sizeof count)));
  static_cast<void>(::fcntl(eventfd, F_SETFL, 0));
}

/// Such a worker could otherwise hold the parent for ever: in the read that clears its signal, as somebody else cleared
/// it, or in the write to a counter that is full.
TEST(hostile_board, a_worker_that_makes_shared_eventfds_blocking_and_fills_or_empties_them_does_not_hold_the_parent) {
  if (!detail::eventfd_notifier{}.never_waits()) GTEST_SKIP() << "io_setup is refused here";
  for (const bool fills : {true, false}) {
    shared<std::atomic<bool>> may_begin, has_begun;
    auto pool = pool_process{{.workers = 2, .stop_timeout = 200ms}, [&, fills](worker_pool& made) {
                               return made.run([&, fills](worker& self) {
                                 if (self.number() == 0) return static_cast<void>(self.serve(echo));
                                 self.ready();
                                 while (!may_begin->load()) std::this_thread::sleep_for(1ms);
                                 for (const auto all = eventfds();; *has_begun = true) {
                                   for (const int one : all) disturb(one, fills);
                                 }
                               });
                             }};
    const asking_client client{pool.address()};
    *may_begin = true;
    ASSERT_TRUE(eventually([&] { return has_begun->load(); })) << pool.log();
    EXPECT_EQ(client.ask("still there"), "still there");
    // Its successor may wait, as workers are not kept from each other; the parent may not.
    ::kill(pool.workers().at(0), SIGKILL);
    EXPECT_TRUE(pool.says("worker-died: ")) << pool.log();
    EXPECT_EQ(pool.stop(), static_cast<int>(pool_result::killed)) << pool.log();
  }
}

TEST(hostile_board, what_no_worker_can_have_counted_makes_no_total_smaller) {
  detail::board shared{2, 0};
  const auto die_with = [&shared](std::uint64_t received) {
    const std::size_t page = shared.claim(0);
    shared.page(page).counts.lanes[3].received = received;
    shared.release(page);
    return shared.total(&detail::lane_counts::received);
  };
  EXPECT_EQ(die_with(5), 5u);
  shared.header().before.lanes[3].received = 0;  // which a worker can write, and the parent does not believe
  EXPECT_EQ(die_with(2), 7u);
  EXPECT_EQ(shared.header().before.lanes[3].received, 7u);
  EXPECT_EQ(die_with(std::numeric_limits<std::uint64_t>::max()), std::numeric_limits<std::uint64_t>::max());
  EXPECT_EQ(die_with(1), std::numeric_limits<std::uint64_t>::max());
  EXPECT_EQ(shared.total(&detail::lane_counts::handled), 0u);
  EXPECT_EQ(shared.header().sums % 2, 0u) << "nobody is in the middle of it";
}

}  // namespace
