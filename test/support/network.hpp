#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

/// A network namespace of the test's own, with no interface but an idle loopback: nothing in it disturbs anybody, and
/// nobody disturbs it. Making one requires root (CAP_SYS_ADMIN).
class network {
 public:
  /// Throws std::system_error if this process may not make one, or may make no interfaces in it.
  network() {
    std::error_code failed;
    std::jthread{[&] {
      if (::unshare(CLONE_NEWNET) != 0) failed = {errno, std::generic_category()};
      if (!failed) fd_ = ::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
      if (!failed && fd_ < 0) failed = {errno, std::generic_category()};
    }}.join();
    if (failed) throw std::system_error{failed, "a network namespace requires root"};
    if (!run("ip link set lo up")) throw std::system_error{ENOENT, std::generic_category(), "ip (iproute2)"};
  }
  ~network() {
    if (fd_ >= 0) ::close(fd_);
  }
  network(const network&) = delete;
  network& operator=(const network&) = delete;

  /// For `ip link ... netns`.
  std::string path() const { return "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(fd_); }

  /// Calls `body` on a thread in it: sockets made there belong to it for ever. What it throws ends the program.
  template <class Body>
  void inside(Body body) const {
    std::jthread{[&] {
      ASSERT_EQ(::setns(fd_, CLONE_NEWNET), 0) << errno;
      body();
    }}.join();
  }
  /// Runs a shell command in it; whether it succeeded.
  bool run(const std::string& command) const {
    int status = -1;
    inside([&] { status = std::system(command.c_str()); });  // NOLINT(concurrency-mt-unsafe)
    return status == 0;
  }

 private:
  int fd_ = -1;
};

/// Two networks joined by a wire, which can be cut and laid again: "near" is 10.9.0.1 and fd09::1, "far" is 10.9.0.2
/// and fd09::2, as interfaces of these names.
class wire {
 public:
  wire() {
    // Uses up two of the numbers of interfaces there. Where a veth and its peer have the same number, the kernel takes
    // the news that it carries for no hurry, and IPv6 waits for that up to a second (net/core/link_watch.c:
    // linkwatch_urgent_event).
    EXPECT_TRUE(there.run("ip link add one type veth peer name other && ip link del one"));
    lay();
  }

  void lay() const {
    ASSERT_TRUE(here.run("ip link add near type veth peer name far netns " + there.path()));
    ASSERT_TRUE(raise(here, "near", "1"));
    ASSERT_TRUE(raise(there, "far", "2"));
  }
  /// Deletes both ends.
  void cut() const { ASSERT_TRUE(here.run("ip link del near")); }

  network here, there;

 private:
  /// One program does all, so that this takes little time. A kernel without IPv6 refuses one line.
  static bool raise(const network& where, const std::string& name, const std::string& number) {
    return where.run("printf '%s\\n' 'addr add 10.9.0." + number + "/24 dev " + name + "' 'addr add fd09::" + number +
                     "/64 dev " + name + " nodad' 'link set " + name + " up' | ip -force -batch - || ip link set " +
                     name + " up");
  }
};

/// Without CAP_NET_RAW this thread cannot bind a socket anew that is bound to a device (net/core/sock.c:
/// sock_bindtoindex_locked).
inline void give_up_net_raw() {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  __user_cap_data_struct data[2]{};
  ASSERT_EQ(::syscall(SYS_capget, &header, data), 0);
  data[0].effective &= ~(1u << CAP_NET_RAW);
  ASSERT_EQ(::syscall(SYS_capset, &header, data), 0);
}
