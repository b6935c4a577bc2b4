#pragma once

#include "udppump/export.hpp"

namespace udppump::detail {

/// Makes an eventfd, or the pipe that a descriptor writes to, readable. Any thread, and signal handlers.
UDPPUMP_EXPORT void notify(int descriptor) noexcept;

/// A descriptor that becomes readable by notify() and stops being so by clear(): an eventfd if the kernel gives one,
/// else a pipe. notify() is safe from any thread and from signal handlers.
class UDPPUMP_EXPORT wake_signal {  // exported for udppump::pool
 public:
  /// Throws std::system_error if neither can be made.
  wake_signal();
  /// An eventfd made elsewhere, which others may notify too; owned from here on.
  explicit wake_signal(int eventfd) noexcept : read_end_{eventfd}, write_end_{eventfd} {}
  ~wake_signal();
  wake_signal(const wake_signal&) = delete;
  wake_signal& operator=(const wake_signal&) = delete;

  int fd() const noexcept { return read_end_; }
  bool is_eventfd() const noexcept { return write_end_ == read_end_; }
  void notify() const noexcept;
  void clear() const noexcept;

 private:
  int read_end_ = -1;
  int write_end_ = -1;
};

}  // namespace udppump::detail
