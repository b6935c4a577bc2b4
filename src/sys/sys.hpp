#pragma once

// The one seam between udppump and the kernel. Each function returns what the system call returns, or -errno; none
// touches errno's callers or throws. EINTR is decided here and nowhere else: calls that may be repeated are repeated.
// Tests put faults below this seam by linking with --wrap=NAME (test/support/fault.hpp).

#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>

#include <sys/epoll.h>
#include <sys/eventfd.h>

namespace udppump::sys {

template <class Call>
inline auto repeat(Call call) noexcept -> decltype(call()) {
  for (;;) {
    const auto result = call();
    if (result >= 0) return result;
    if (errno != EINTR) return -errno;
  }
}

template <class Call>
inline auto once(Call call) noexcept -> decltype(call()) {
  const auto result = call();
  return result >= 0 ? result : -errno;
}

inline int socket(int family, int type, int protocol) noexcept {
  return once([&] { return ::socket(family, type, protocol); });
}
inline int bind(int fd, const sockaddr* to, socklen_t size) noexcept {
  return once([&] { return ::bind(fd, to, size); });
}
inline int connect(int fd, const sockaddr* to, socklen_t size) noexcept {
  return repeat([&] { return ::connect(fd, to, size); });  // of a datagram socket: never in progress
}
inline int getsockname(int fd, sockaddr* name, socklen_t* size) noexcept {
  return once([&] { return ::getsockname(fd, name, size); });
}
inline int getpeername(int fd, sockaddr* name, socklen_t* size) noexcept {
  return once([&] { return ::getpeername(fd, name, size); });
}
template <class Value>
inline int setsockopt(int fd, int level, int option, const Value& value) noexcept {
  return once([&] { return ::setsockopt(fd, level, option, &value, sizeof value); });
}
inline int setsockopt_text(int fd, int level, int option, const char* text, std::size_t size) noexcept {
  return once([&] { return ::setsockopt(fd, level, option, text, static_cast<socklen_t>(size)); });
}
template <class Value>
inline int getsockopt(int fd, int level, int option, Value& value) noexcept {
  socklen_t size = sizeof value;
  return once([&] { return ::getsockopt(fd, level, option, &value, &size); });
}
/// How many instructions the socket's filter has; 0 without one, -EACCES if it is an eBPF program.
inline int filter_length(int fd) noexcept {
  constexpr int option = 26;  // SO_GET_FILTER, which <sys/socket.h> lacks
  socklen_t length = 0;
  const int asked = once([&] { return ::getsockopt(fd, SOL_SOCKET, option, nullptr, &length); });
  return asked < 0 ? asked : static_cast<int>(length);
}
/// `size` is what `value` has room for, and then what is there, as the option counts.
inline int getsockopt_sized(int fd, int level, int option, void* value, socklen_t& size) noexcept {
  return once([&] { return ::getsockopt(fd, level, option, value, &size); });
}

/// CLOCK_REALTIME in nanoseconds, which anybody with CAP_SYS_TIME may set.
inline std::int64_t wall_clock() noexcept {
  timespec now{};
  static_cast<void>(::clock_gettime(CLOCK_REALTIME, &now));
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

inline ssize_t recvfrom(int fd, void* to, std::size_t size, int flags, sockaddr* from, socklen_t* from_size) noexcept {
  return repeat([&] { return ::recvfrom(fd, to, size, flags, from, from_size); });
}
inline ssize_t recvmsg(int fd, msghdr* message, int flags) noexcept {
  return repeat([&] { return ::recvmsg(fd, message, flags); });
}
/// One message, whose length the kernel stores in it: 1, or -errno.
inline int recvmmsg_one(int fd, mmsghdr& message, int flags) noexcept {
  return repeat([&] { return ::recvmmsg(fd, &message, 1, flags, nullptr); });
}
/// How many came, at least 1; or -errno.
inline int recvmmsg(int fd, mmsghdr* messages, unsigned count, int flags) noexcept {
  return repeat([&] { return ::recvmmsg(fd, messages, count, flags, nullptr); });
}
inline ssize_t sendto(int fd, const void* from, std::size_t size, int flags, const sockaddr* to,
                      socklen_t to_size) noexcept {
  return repeat([&] { return ::sendto(fd, from, size, flags, to, to_size); });
}
inline ssize_t sendmsg(int fd, const msghdr* message, int flags) noexcept {
  return repeat([&] { return ::sendmsg(fd, message, flags); });
}

/// A descriptor is gone after close() whatever it returns; repeating it on EINTR could close another's (close(2)).
inline void close(int fd) noexcept { static_cast<void>(::close(fd)); }
inline ssize_t read(int fd, void* to, std::size_t size) noexcept {
  return repeat([&] { return ::read(fd, to, size); });
}
inline ssize_t write(int fd, const void* from, std::size_t size) noexcept {
  return repeat([&] { return ::write(fd, from, size); });
}
/// New memory, filled with zeros; `sharing` is MAP_SHARED or MAP_PRIVATE. Null if there is none.
inline void* map_anonymous(std::size_t size, int sharing) noexcept {
  void* const memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, sharing | MAP_ANONYMOUS, -1, 0);
  return memory == MAP_FAILED ? nullptr : memory;
}
inline void unmap(void* memory, std::size_t size) noexcept { static_cast<void>(::munmap(memory, size)); }
/// 0 if there is none of that name, or if it cannot be looked up; errno tells which.
inline unsigned interface_index(const char* name) noexcept { return ::if_nametoindex(name); }
/// `name` has room for IF_NAMESIZE; false if there is no interface with this index.
inline bool interface_name(unsigned index, char* name) noexcept { return ::if_indextoname(index, name) != nullptr; }
inline int pipe_nonblocking(int ends[2]) noexcept {
  return once([&] { return ::pipe2(ends, O_NONBLOCK | O_CLOEXEC); });
}
/// Waits up to timeout_ms (-1: for ever). A signal starts the full wait again; nobody here waits with a deadline that a
/// signal storm could push out of reach but the thread waiter, whose deadlines are checked by clock.
inline int poll(pollfd* set, std::size_t size, int timeout_ms) noexcept {
  return repeat([&] { return ::poll(set, static_cast<nfds_t>(size), timeout_ms); });
}

inline int sendmmsg(int fd, mmsghdr* messages, unsigned count, int flags) noexcept {
  return repeat([&] { return ::sendmmsg(fd, messages, count, flags); });
}
inline int eventfd(unsigned count) noexcept {
  return once([&] { return ::eventfd(count, EFD_NONBLOCK | EFD_CLOEXEC); });
}
inline int epoll_create() noexcept {
  return once([&] { return ::epoll_create1(EPOLL_CLOEXEC); });
}
inline int epoll_ctl(int set, int operation, int fd, epoll_event* event) noexcept {
  return once([&] { return ::epoll_ctl(set, operation, fd, event); });
}
inline int epoll_wait(int set, epoll_event* events, int capacity, int timeout_ms) noexcept {
  return repeat([&] { return ::epoll_wait(set, events, capacity, timeout_ms); });
}
/// Not repeated after a signal: for whoever waits with a deadline.
inline int epoll_wait_once(int set, epoll_event* events, int capacity, int timeout_ms) noexcept {
  return once([&] { return ::epoll_wait(set, events, capacity, timeout_ms); });
}

}  // namespace udppump::sys
