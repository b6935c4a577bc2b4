#pragma once

#include <cstdint>

#include "udppump/export.hpp"

namespace udppump::detail {

/// Notifies and clears eventfds that processes share which are not trusted. O_NONBLOCK belongs to the open file: one of
/// them may take it away and fill the counter, and a write(2) here would wait for ever. So the kernel itself is made to
/// add to the counter, as the completion of a request for asynchronous input (io_submit(2), IOCB_FLAG_RESFD), which
/// waits for nothing.
class UDPPUMP_EXPORT eventfd_notifier {  // exported for udppump::pool
 public:
  eventfd_notifier() noexcept;
  ~eventfd_notifier();
  eventfd_notifier(const eventfd_notifier&) = delete;
  eventfd_notifier& operator=(const eventfd_notifier&) = delete;

  /// Makes it readable. Any thread, signal handlers.
  void notify(int eventfd) const noexcept;
  /// False where the kernel or a seccomp profile refuses io_setup(2), and in the child of a fork: notify() then writes,
  /// if there is room a moment before.
  bool never_waits() const noexcept { return context_ != 0; }

  /// Sets it to 0, whatever it is (preadv2(2), RWF_NOWAIT). Before Linux 5.8 it reads, if there is something a moment
  /// before.
  static void clear(int eventfd) noexcept;

 private:
  bool submit(int eventfd) const noexcept;

  std::uint64_t context_ = 0;
};

}  // namespace udppump::detail
