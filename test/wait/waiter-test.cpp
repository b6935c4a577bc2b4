#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <ostream>
#include <string>
#include <udppump/pump.hpp>
#include <udppump/pump_group.hpp>
#include <vector>

#include "support/fault.hpp"
#include "support/process.hpp"
#include "support/serve.hpp"
#include "support/waiters.hpp"

using namespace udppump;
using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

namespace {

/// UDPPUMP_WAITER for as long as it lives.
class environment {
 public:
  explicit environment(const char* value) {
    if (value == nullptr) {
      ::unsetenv("UDPPUMP_WAITER");
    } else {
      ::setenv("UDPPUMP_WAITER", value, 1);
    }
  }
  ~environment() {
    if (before_.empty()) {
      ::unsetenv("UDPPUMP_WAITER");
    } else {
      ::setenv("UDPPUMP_WAITER", before_.c_str(), 1);
    }
  }
  environment(const environment&) = delete;
  environment& operator=(const environment&) = delete;

 private:
  std::string before_ = [] {
    const char* set = ::getenv("UDPPUMP_WAITER");
    return std::string{set == nullptr ? "" : set};
  }();
};

/// What a pump waited with in an event loop, and what in run().
struct reports {
  waiter_report loop, run;
};

/// Makes a pump with `kind`, has it serve one datagram in a loop and one in run().
reports serve_with(waiter_kind kind) {
  datagram_socket socket = bound();
  int received = 0;
  pump pump{socket,
            [&](datagram&) {
              if (++received == 2) pump.stop();
            },
            {},
            kind};
  settle(pump);
  EXPECT_FALSE(socket.send_to("one", socket.local()));
  EXPECT_TRUE(serve_until(pump, [&] { return received == 1; }));
  auto in_loop = pump.waiter();
  EXPECT_FALSE(socket.send_to("two", socket.local()));
  EXPECT_FALSE(pump.run());
  EXPECT_EQ(received, 2);
  return {std::move(in_loop), pump.waiter()};
}

std::string message_of(waiter_kind kind) {
  try {
    const pump_group group{{.waiter = kind}};
  } catch (const std::system_error& refused) {
    return refused.what();
  }
  return "";
}

bool has(waiter_kind kind) { return message_of(kind).empty(); }

TEST(waiter, the_environment_chooses_where_the_program_does_not) {
  for (const auto kind : {waiter_kind::uring, waiter_kind::thread, waiter_kind::poll}) {
    if (!has(kind)) continue;
    const environment set{std::string{to_string(kind)}.c_str()};
    const auto served = serve_with(waiter_kind::automatic);
    EXPECT_EQ(served.loop.kind, kind);
    EXPECT_EQ(served.run.kind, kind);
    EXPECT_EQ(serve_with(waiter_kind::poll).run.kind, waiter_kind::poll) << "an option goes before the environment";
  }
  const environment set{"auto"};
  EXPECT_EQ(serve_with(waiter_kind::automatic).loop.fallback.empty(),
            has(waiter_kind::uring) || !has(waiter_kind::thread));
}

TEST(waiter, run_sleeps_in_an_epoll_of_its_own_and_an_event_loop_never_does) {
  if (!has(waiter_kind::epoll)) GTEST_SKIP() << message_of(waiter_kind::epoll);
  const environment unset{nullptr};
  const auto chosen = serve_with(waiter_kind::automatic);
  EXPECT_EQ(chosen.run.kind, waiter_kind::epoll);
  EXPECT_EQ(chosen.run.fallback, "");
  EXPECT_NE(chosen.loop.kind, waiter_kind::epoll);
  const auto asked = serve_with(waiter_kind::epoll);
  EXPECT_EQ(asked.run.kind, waiter_kind::epoll);
  EXPECT_EQ(asked.run.fallback, "");
  EXPECT_EQ(asked.loop.kind, waiter_kind::thread);
  EXPECT_THAT(asked.loop.fallback, AllOf(StartsWith("epoll: "), HasSubstr("event loop"), EndsWith("; using thread")));
  for (const auto kind : {waiter_kind::automatic, waiter_kind::uring, waiter_kind::thread, waiter_kind::poll}) {
    if (!has(kind)) continue;
    EXPECT_EQ(run_waiter(kind).kind, serve_with(kind).run.kind) << to_string(kind);
    EXPECT_EQ(run_waiter(kind).fallback, serve_with(kind).run.fallback) << to_string(kind);
  }
  EXPECT_EQ(run_waiter().kind, waiter_kind::epoll);
  const environment set{"epoll"};
  const auto by_environment = serve_with(waiter_kind::automatic);
  EXPECT_EQ(by_environment.loop.kind, waiter_kind::thread);
  EXPECT_EQ(by_environment.loop.fallback, asked.loop.fallback);
}

TEST(waiter, who_goes_from_a_loop_to_run_changes_the_waiter_and_loses_nothing) {
  const environment unset{nullptr};
  datagram_socket socket = bound();
  for (int round = 0; round < 3; ++round) {
    int received = 0;
    pump_group group;
    const auto one = group.add(socket, [&](datagram&) { ++received; });
    for (int turn = 1; turn <= 3; ++turn) {
      EXPECT_FALSE(socket.send_to("in the loop", socket.local()));
      ASSERT_TRUE(serve_until(group, [&] { return received == turn; }));
    }
    EXPECT_FALSE(socket.send_to("in run()", socket.local()));
    group.request_stop();
    EXPECT_FALSE(group.run());
    EXPECT_EQ(received, 4) << "its last turn";
  }
}

TEST(waiter, without_epoll_a_ring_serves_run) {
  if (!has(waiter_kind::uring)) GTEST_SKIP() << message_of(waiter_kind::uring);
  const environment unset{nullptr};
  const fault::injection no_epoll{{.call = "epoll_create1", .error = EMFILE}};
  const auto served = serve_with(waiter_kind::automatic);
  EXPECT_EQ(served.run.kind, waiter_kind::uring);
  EXPECT_THAT(served.run.fallback, HasSubstr("ulimit -n"));
  EXPECT_THAT(served.run.fallback, HasSubstr("using uring"));
}

TEST(waiter, an_epoll_that_refuses_to_work_later_is_replaced_and_nothing_is_lost) {
  if (!has(waiter_kind::epoll)) GTEST_SKIP() << message_of(waiter_kind::epoll);
  const environment unset{nullptr};
  datagram_socket socket = bound();
  pump_group group;
  const auto one = group.add(socket, [&](datagram&) { group.request_stop(); });
  const fault::injection refused{{.call = "epoll_wait", .error = EPERM}};
  std::jthread sender{[&] {
    while (refused.hits() == 0) std::this_thread::sleep_for(std::chrono::milliseconds{1});
    EXPECT_FALSE(socket.send_to("hello", socket.local()));
  }};
  EXPECT_FALSE(group.run());
  EXPECT_NE(group.waiter().kind, waiter_kind::epoll);
  EXPECT_THAT(group.waiter().fallback, AllOf(HasSubstr("epoll_wait; not permitted to this user"), HasSubstr("using ")));
}

TEST(waiter, an_unknown_name_in_the_environment_is_refused_with_the_names_there_are) {
  const environment set{"io_uring"};
  EXPECT_THAT(message_of(waiter_kind::automatic), HasSubstr("UDPPUMP_WAITER is \"io_uring\""));
  EXPECT_THAT(message_of(waiter_kind::automatic), HasSubstr("auto, epoll, uring, thread or poll"));
  EXPECT_EQ(message_of(waiter_kind::poll), "");
}

TEST(waiter, kinds_have_names) {
  EXPECT_EQ(to_string(waiter_kind::automatic), "auto");
  EXPECT_EQ(to_string(waiter_kind::epoll), "epoll");
  EXPECT_EQ(to_string(waiter_kind::uring), "uring");
  EXPECT_EQ(to_string(waiter_kind::thread), "thread");
  EXPECT_EQ(to_string(waiter_kind::poll), "poll");
  for (const auto kind :
       {waiter_kind::automatic, waiter_kind::epoll, waiter_kind::uring, waiter_kind::thread, waiter_kind::poll}) {
    EXPECT_EQ(parse_waiter_kind(to_string(kind)), kind);
  }
  for (const char* unknown : {"", "automatic", "Auto", "uring ", "kqueue"}) EXPECT_FALSE(parse_waiter_kind(unknown));
}

struct refusal {
  int error;
  const char* cure;
};
/// GoogleTest would print the padding too, which valgrind takes for a fault.
std::ostream& operator<<(std::ostream& out, const refusal& one) { return out << one.cure; }

class refused_ring : public testing::TestWithParam<refusal> {};
INSTANTIATE_TEST_SUITE_P(with, refused_ring,
                         testing::Values(refusal{EPERM, "kernel.io_uring_disabled"}, refusal{ENOSYS, "no io_uring"},
                                         refusal{EINVAL, "Linux 6.1"}, refusal{ENOMEM, "ulimit -l"},
                                         refusal{EMFILE, "ulimit -n"}, refusal{ENFILE, "ulimit -n"},
                                         refusal{EIO, "io_uring_setup: Input/output error; choose"}));

TEST_P(refused_ring, falls_back_to_the_thread_and_says_so) {
  if (!has(waiter_kind::uring)) GTEST_SKIP() << message_of(waiter_kind::uring);
  const environment unset{nullptr};
  const fault::injection refused{{.call = "io_uring_queue_init_params", .error = GetParam().error}};
  const waiter_report report = serve_with(waiter_kind::automatic).loop;
  EXPECT_GE(refused.hits(), 1);
  EXPECT_EQ(report.kind, waiter_kind::thread);
  EXPECT_THAT(report.fallback, HasSubstr(GetParam().cure));
  EXPECT_THAT(report.fallback, HasSubstr("using thread"));
  EXPECT_THAT(message_of(waiter_kind::uring),
              AllOf(HasSubstr(GetParam().cure), HasSubstr("choose the waiter epoll, thread or poll")))
      << "insisted on, it is an error";
}

TEST(waiter, a_ring_that_cannot_be_kept_from_children_is_not_used) {
  if (!has(waiter_kind::uring)) GTEST_SKIP() << message_of(waiter_kind::uring);
  const environment unset{nullptr};
  const std::size_t before = open_descriptors();
  {
    const fault::injection refused{{.call = "io_uring_ring_dontfork", .error = ENOMEM}};
    EXPECT_EQ(serve_with(waiter_kind::automatic).loop.kind, waiter_kind::thread);
  }
  EXPECT_EQ(open_descriptors(), before);
}

TEST(waiter, without_eventfd_a_pipe_wakes_the_loop) {
  const environment unset{nullptr};
  for (const int error : {ENOSYS, EPERM}) {
    const fault::injection refused{{.call = "eventfd", .error = error}};
    const waiter_report report = serve_with(waiter_kind::automatic).loop;
    EXPECT_NE(report.kind, waiter_kind::uring);
    serve_with(waiter_kind::poll);
  }
}

TEST(waiter, without_epoll_poll_takes_over) {
  if (!has(waiter_kind::thread)) GTEST_SKIP() << message_of(waiter_kind::thread);
  const environment unset{nullptr};
  const fault::injection no_ring{{.call = "io_uring_queue_init_params", .error = ENOSYS}};
  const fault::injection no_epoll{{.call = "epoll_create1", .error = ENOSYS}};
  const waiter_report report = serve_with(waiter_kind::automatic).loop;
  EXPECT_EQ(report.kind, waiter_kind::poll);
  EXPECT_THAT(report.fallback, HasSubstr("epoll_create1"));
}

TEST(waiter, a_ring_that_refuses_to_work_later_is_replaced_and_nothing_is_lost) {
  if (!has(waiter_kind::uring)) GTEST_SKIP() << message_of(waiter_kind::uring);
  const environment unset{nullptr};
  for (const char* call : {"io_uring_register", "io_uring_register_eventfd", "io_uring_submit_and_get_events"}) {
    datagram_socket socket = bound();
    int received = 0;
    pump pump{socket, [&](datagram&) { ++received; }};
    ASSERT_EQ(pump.waiter().kind, waiter_kind::uring);
    const fault::injection refused{{.call = call, .error = EPERM}};
    settle(pump);
    EXPECT_EQ(pump.waiter().kind, waiter_kind::thread) << call;
    EXPECT_THAT(pump.waiter().fallback, HasSubstr("using thread"));
    ASSERT_FALSE(socket.send_to("hello", socket.local()));
    EXPECT_TRUE(serve_until(pump, [&] { return received == 1; })) << call;
  }
}

TEST(waiter, a_ring_that_was_insisted_on_ends_the_pump_when_it_refuses_to_work) {
  if (!has(waiter_kind::uring)) GTEST_SKIP() << message_of(waiter_kind::uring);
  datagram_socket socket = bound();
  int fatal = 0;
  pump pump{socket,
            [](datagram&) {},
            {.on_error = [&](const receive_error& error) { fatal += error.what == receive_error::kind::fatal; }},
            waiter_kind::uring};
  const fault::injection refused{{.call = "io_uring_submit_and_get_events", .error = EPERM}};
  EXPECT_EQ(pump.dispatch(), std::errc::operation_not_permitted);
  EXPECT_EQ(pump.dispatch(), std::errc::operation_not_permitted);
  EXPECT_EQ(fatal, 1);
}

TEST(waiter, nothing_that_fails_to_be_made_is_left_open) {
  const environment unset{nullptr};
  const std::size_t descriptors = open_descriptors();
  const std::size_t running = threads();
  for (const char* call : {"eventfd", "pipe2", "epoll_create1", "epoll_ctl", "io_uring_queue_init_params"}) {
    for (int after = 0; after < 3; ++after) {
      const fault::injection refused{{.call = call, .error = EMFILE, .after = after}};
      for (const auto kind :
           {waiter_kind::automatic, waiter_kind::epoll, waiter_kind::uring, waiter_kind::thread, waiter_kind::poll}) {
        static_cast<void>(message_of(kind));
      }
    }
  }
  EXPECT_EQ(open_descriptors(), descriptors);
  EXPECT_TRUE(eventually([&] { return threads() == running; }));
}

/// The signals that each thread of this process blocks which sleeps, by its folder in /proc (proc(5)). Until a thread
/// has begun to run, glibc keeps all signals blocked in it.
std::map<std::string, std::uint64_t> blocked_signals() {
  std::map<std::string, std::uint64_t> found;
  for (const auto& thread : std::filesystem::directory_iterator{"/proc/self/task"}) {
    std::ifstream lines{thread.path() / "status"};
    bool sleeps = false;
    for (std::string line; std::getline(lines, line);) {
      if (line.rfind("State:", 0) == 0) sleeps = line.find('S', 6) != std::string::npos;
      if (sleeps && line.rfind("SigBlk:", 0) == 0)
        found[thread.path().string()] = std::stoull(line.substr(7), nullptr, 16);
    }
  }
  return found;
}

TEST(waiter, its_thread_leaves_signals_to_the_program) {
  for (const auto kind : {waiter_kind::thread, waiter_kind::poll}) {
    if (!has(kind)) continue;
    std::vector<std::string> before;
    for (const auto& thread : std::filesystem::directory_iterator{"/proc/self/task"}) before.push_back(thread.path());
    const pump_group group{{.waiter = kind}};
    std::map<std::string, std::uint64_t> threads;
    ASSERT_TRUE(eventually([&] {
      threads = blocked_signals();
      for (const auto& path : before) threads.erase(path);
      return threads.size() == 1;
    })) << "the waiter's own";
    EXPECT_NE(threads.begin()->second & (std::uint64_t{1} << (SIGUSR1 - 1)), 0u);
    EXPECT_NE(threads.begin()->second & (std::uint64_t{1} << (SIGTERM - 1)), 0u);
    sigset_t set, old;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    ::pthread_sigmask(SIG_BLOCK, &set, &old);
    EXPECT_FALSE(sigismember(&old, SIGUSR1)) << "blocked by making a waiter";
    ::kill(::getpid(), SIGUSR1);  // a thread that does not block it would end the program
    const timespec soon{.tv_sec = 20, .tv_nsec = 0};
    EXPECT_EQ(::sigtimedwait(&set, nullptr, &soon), SIGUSR1);
    ::pthread_sigmask(SIG_SETMASK, &old, nullptr);
  }
}

TEST(waiter, without_descriptors_the_error_names_the_limit) {
  const fault::injection no_eventfd{{.call = "eventfd", .error = EMFILE}};
  const fault::injection no_pipe{{.call = "pipe2", .error = EMFILE}};
  EXPECT_THAT(message_of(waiter_kind::poll), HasSubstr("ulimit -n"));
}

TEST(waiter, without_threads_the_error_names_the_limit) {
  const fault::injection refused{{.call = "pthread_create", .error = EAGAIN}};
  EXPECT_THAT(message_of(waiter_kind::poll), HasSubstr("ulimit -u"));
}

}  // namespace
