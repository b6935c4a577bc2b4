// Where asking for io_uring is deadly, UDPPUMP_WAITER=thread is the way out (docs/limits.md).
#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <udppump/pump.hpp>

#include "support/serve.hpp"
#include "support/sockets.hpp"

using namespace udppump;

namespace {

/// From here on io_uring_setup(2) kills this process. False if filters are refused here.
bool make_rings_deadly() {
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog filter{.len = std::size(program), .filter = program};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

bool serves_one() {
  auto socket = bound();
  const auto client = datagram_socket::connect(socket.local());
  pump pump{socket, [](datagram& received) { received.reply(received.payload); }};
  if (client.send("x")) return false;
  return serve_until(pump, [&] { return readable(client.fd()); }) && received(client) == "x";
}

/// Serves a datagram in a child where rings are deadly; its status, as of waitpid.
int status_where_rings_are_deadly(const char* waiter) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (waiter == nullptr) {
      ::unsetenv("UDPPUMP_WAITER");
    } else {
      ::setenv("UDPPUMP_WAITER", waiter, 1);
    }
    if (!make_rings_deadly()) ::_exit(77);
    ::_exit(serves_one() ? 0 : 1);
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

TEST(surroundings, a_datagram_is_served) { EXPECT_TRUE(serves_one()); }

TEST(surroundings, a_filter_that_kills_whoever_asks_for_a_ring_is_survived_with_another_waiter) {
  for (const char* waiter : {"thread", "poll"}) {
    const int status = status_where_rings_are_deadly(waiter);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) GTEST_SKIP() << "seccomp filters are refused here";
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << waiter << ": " << status;
  }
}

TEST(surroundings, the_filter_of_this_test_kills) {
  try {
    auto socket = bound();
    const pump probe{socket, [](datagram&) {}, {}, waiter_kind::uring};
  } catch (const std::system_error& refused) {
    GTEST_SKIP() << refused.what();
  }
  const int status = status_where_rings_are_deadly(nullptr);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 77) GTEST_SKIP() << "seccomp filters are refused here";
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS) << status;
}

}  // namespace
