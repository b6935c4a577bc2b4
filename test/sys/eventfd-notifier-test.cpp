#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>

#include <cerrno>
#include <cstdint>

#include "support/process.hpp"
#include "sys/eventfd_notifier.hpp"
#include "sys/sys.hpp"
#include "udppump/descriptor.hpp"

using namespace udppump;
using detail::descriptor;
using detail::eventfd_notifier;

namespace {

constexpr std::uint64_t full = ~std::uint64_t{1};  // the most that write(2) leaves there (eventfd(2))

std::uint64_t count_of(const descriptor& eventfd) {
  std::uint64_t count = 0;
  return ::read(eventfd.fd(), &count, sizeof count) == sizeof count ? count : 0;
}
void fill(const descriptor& eventfd) { ASSERT_EQ(::write(eventfd.fd(), &full, sizeof full), ssize_t{sizeof full}); }
void make_blocking(const descriptor& eventfd) { ASSERT_EQ(::fcntl(eventfd.fd(), F_SETFL, 0), 0); }

TEST(eventfd_notifier, makes_readable_as_often_as_it_is_asked) {
  const eventfd_notifier notifier;
  const descriptor eventfd{sys::eventfd(0)};
  for (int round = 0; round < 1000; ++round) {
    errno = 4711;
    notifier.notify(eventfd.fd());
    EXPECT_EQ(errno, 4711) << "a signal handler would change what it interrupted";
    ASSERT_EQ(count_of(eventfd), 1u) << "in round " << round;
  }
}

TEST(eventfd_notifier, does_not_wait_for_room_in_one_that_somebody_filled_and_made_blocking) {
  child_process notifies{[] {
    const eventfd_notifier notifier;
    if (!notifier.never_waits()) return 3;
    const descriptor eventfd{sys::eventfd(0)};
    make_blocking(eventfd);
    fill(eventfd);
    for (int round = 0; round < 100; ++round) notifier.notify(eventfd.fd());
    return count_of(eventfd) >= full ? 0 : 1;
  }};
  const int status = notifies.join();
  if (status == 3) GTEST_SKIP() << "io_setup is refused here";
  EXPECT_EQ(status, 0);
}

TEST(eventfd_notifier, where_io_setup_is_refused_it_writes_if_there_is_room) {
  const eventfd_notifier notifier;
  child_process notifies{[&notifier] {  // contexts are not inherited
    const descriptor eventfd{sys::eventfd(0)};
    notifier.notify(eventfd.fd());
    if (count_of(eventfd) != 1) return 1;
    make_blocking(eventfd);
    fill(eventfd);
    notifier.notify(eventfd.fd());
    return count_of(eventfd) == full ? 0 : 2;
  }};
  EXPECT_EQ(notifies.join(), 0);
}

TEST(eventfd_notifier, clears_one_that_somebody_made_blocking_and_does_not_wait_if_it_is_clear_already) {
  child_process clears{[] {
    const descriptor eventfd{sys::eventfd(0)};
    make_blocking(eventfd);
    fill(eventfd);
    eventfd_notifier::clear(eventfd.fd());
    eventfd_notifier::clear(eventfd.fd());
    if (::fcntl(eventfd.fd(), F_SETFL, O_NONBLOCK) != 0) return 1;
    return count_of(eventfd) == 0 ? 0 : 2;
  }};
  EXPECT_EQ(clears.join(), 0);
}

}  // namespace
