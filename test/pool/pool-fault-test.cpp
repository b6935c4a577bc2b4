#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdio>
#include <fstream>
#include <string>

#include "support/asking_client.hpp"
#include "support/fault.hpp"
#include "support/pool_process.hpp"
#include "support/sockets.hpp"

using namespace udppump;
using namespace std::chrono_literals;
using testing::HasSubstr;

namespace {

/// What a pool that is made and run says if it cannot be; "served" if it can.
std::string refusal_of(pool_options options) {
  options.bind = {"127.0.0.1:0"};
  options.log = [](const pool_event&) {};
  try {
    worker_pool pool{std::move(options)};
    pool.request_stop();
    static_cast<void>(pool.serve([](datagram&) {}));
  } catch (const std::system_error& refused) {
    return refused.what();
  }
  return "served";
}

bool has_children() { return ::waitpid(-1, nullptr, WNOHANG) >= 0 || errno != ECHILD; }

bool blocks(int signal) {
  sigset_t mask;
  ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
  return sigismember(&mask, signal) != 0;
}

TEST(pool_when, a_call_is_refused_it_says_which_and_leaves_nothing_behind) {
  const std::string file = temporary_path("watched");
  const std::string path = temporary_path("path");
  std::ofstream{file} << "x";
  struct refused_call {
    const char* call;
    const char* said;
    int after = 0;
  };
  for (const auto& [call, said, after] : {refused_call{"memfd_create", "memfd_create"},
                                          {"ftruncate", "shared memory"},
                                          {"eventfd", "eventfd", 3},
                                          {"signalfd", "signalfd"},
                                          {"inotify_init1", "inotify_init1"},
                                          {"listen", path.c_str()},
                                          {"fork", "fork"},
                                          {"fork", "fork", 2}}) {
    const std::size_t descriptors = open_descriptors();
    {
      const fault::injection refused{{.call = call, .error = EMFILE, .after = after}};
      EXPECT_THAT(refusal_of({.workers = 3, .reload_on_change = {file}, .take_over = path}), HasSubstr(said));
      EXPECT_GT(refused.hits(), 0) << call;
    }
    EXPECT_EQ(open_descriptors(), descriptors) << call;
    EXPECT_FALSE(has_children()) << call;
    EXPECT_FALSE(blocks(SIGTERM)) << call;
    EXPECT_NE(::access(path.c_str(), F_OK), 0) << call;
  }
  EXPECT_EQ(refusal_of({.workers = 3}), "served");
  std::remove(file.c_str());
}

TEST(pool_when, a_later_worker_cannot_be_started_those_before_it_are_told_to_stop) {
  std::string log;
  const fault::injection refused{{.call = "fork", .error = EAGAIN, .after = 2}};
  try {
    worker_pool pool{{.bind = {"127.0.0.1:0"}, .workers = 3, .log = [&log](const pool_event& event) {
                        log += event.name;
                        log += ": " + event.text + '\n';
                      }}};
    static_cast<void>(pool.serve([](datagram&) {}));
    ADD_FAILURE() << "it served: " << log;
  } catch (const std::system_error& said) {
    EXPECT_THAT(said.what(), HasSubstr("fork"));
  }
  EXPECT_FALSE(has_children());
  const auto first = log.find("worker-ended: ");
  ASSERT_NE(first, std::string::npos) << log;
  EXPECT_NE(log.find("worker-ended: ", first + 1), std::string::npos) << log;
  EXPECT_EQ(log.find("worker-died: "), std::string::npos) << log;
}

TEST(pool_when, a_worker_cannot_be_started_again_for_long_there_is_room_for_it_when_it_can) {
  shared<std::atomic<int>> refusals;
  auto pool = pool_process{
      {.workers = 1, .restart = {.first_delay = 1ms, .longest_delay = 1ms}}, [&refusals](worker_pool& made) {
        const fault::injection refused{{.call = "fork", .error = EAGAIN, .times = 4, .after = 1}};  // pages are for two
        const int result = made.serve([](datagram& received) {
          if (received.text() == "die") ::_exit(9);
          received.reply(received.payload);
        });
        *refusals = refused.hits();
        return result;
      }};
  const auto client = datagram_socket::connect(pool.address());
  ASSERT_FALSE(client.send("die"));
  ASSERT_TRUE(pool.says("start-failed: ")) << pool.log();
  ASSERT_FALSE(client.send("alive"));
  EXPECT_EQ(received(client), "alive") << pool.log();
  EXPECT_EQ(pool.stop(), 0);
  EXPECT_EQ(*refusals, 4);
}

TEST(pool_when, receiving_into_kept_memory_is_interrupted_or_fails_for_a_while_nothing_is_lost) {
  for (const int error : {EINTR, ENOMEM, ENOBUFS}) {
    const fault::injection trouble{{.call = "recvmmsg", .error = error, .times = 10}};  // in each worker
    auto pool = pool_process::serving_with({.workers = 2, .redeliver = redelivery{}},
                                           [](datagram& received) { received.reply(received.payload); });
    const auto client = datagram_socket::connect(pool.address());
    for (int asked = 0; asked < 50; ++asked) {
      ASSERT_FALSE(client.send("x"));
      ASSERT_EQ(received(client), "x") << error;
    }
    EXPECT_EQ(pool.stop(), 0) << pool.log();
  }
}

}  // namespace
