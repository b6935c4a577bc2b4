#pragma once

// The kernel's own asynchronous input and output (io_submit(2)), for which glibc has no functions. As sys.hpp: each
// returns what the call returns, or -errno.

#include <linux/aio_abi.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <ctime>

#include "sys/sys.hpp"

namespace udppump::sys {

/// Room for so many requests.
inline long aio_setup(unsigned requests, std::uint64_t& context) noexcept {
  aio_context_t made = 0;
  const long done = once([&] { return ::syscall(SYS_io_setup, requests, &made); });
  context = made;
  return done;
}
inline long aio_destroy(std::uint64_t context) noexcept {
  return once([&] { return ::syscall(SYS_io_destroy, static_cast<aio_context_t>(context)); });
}
inline long aio_submit(std::uint64_t context, iocb& one) noexcept {
  iocb* const list[] = {&one};
  return once([&] { return ::syscall(SYS_io_submit, static_cast<aio_context_t>(context), 1L, list); });
}
/// Takes what is complete, and does not wait.
inline long aio_take(std::uint64_t context, io_event* to, std::size_t room) noexcept {
  timespec at_once{};
  return once([&] {
    return ::syscall(SYS_io_getevents, static_cast<aio_context_t>(context), 0L, static_cast<long>(room), to, &at_once);
  });
}

}  // namespace udppump::sys
