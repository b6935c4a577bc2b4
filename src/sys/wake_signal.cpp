#include "sys/wake_signal.hpp"

#include <cerrno>
#include <cstdint>

#include "sys/failure.hpp"
#include "sys/sys.hpp"

namespace udppump::detail {

wake_signal::wake_signal() {
  read_end_ = write_end_ = sys::eventfd(0);
  if (read_end_ >= 0) return;
  int ends[2];
  const int made = sys::pipe_nonblocking(ends);
  if (made < 0) fail_with_cure(made, "eventfd and pipe");
  read_end_ = ends[0];
  write_end_ = ends[1];
}

wake_signal::~wake_signal() {
  if (write_end_ != read_end_) sys::close(write_end_);
  sys::close(read_end_);
}

void notify(int descriptor) noexcept {
  const int saved = errno;  // a signal handler must leave errno alone
  const std::uint64_t one = 1;
  // EAGAIN: the counter or the pipe is full, so it is readable already.
  static_cast<void>(sys::write(descriptor, &one, sizeof one));
  errno = saved;
}

void wake_signal::notify() const noexcept { detail::notify(write_end_); }

void wake_signal::clear() const noexcept {
  std::uint64_t waste[64];
  // An eventfd is emptied by one read; a pipe may hold more.
  while (sys::read(read_end_, waste, sizeof waste) == static_cast<ssize_t>(sizeof waste) && !is_eventfd()) {
  }
}

}  // namespace udppump::detail
