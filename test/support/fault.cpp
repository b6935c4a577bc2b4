#include "support/fault.hpp"

#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <sys/epoll.h>
#include <sys/eventfd.h>
#if defined(UDPPUMP_HAS_URING)
#include <liburing.h>
#endif

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <optional>
#include <vector>

namespace fault {

namespace {

struct active {
  int id;
  rule what;
  int seen = 0;
  int hits = 0;
};

std::mutex mutex;
std::vector<active> rules;  // under mutex
std::atomic<int> count{0};  // of rules, so that calls without any stay quick
int next_id = 0;

/// The rule that this call is to follow; nothing to let it through.
std::optional<rule> rule_for(const char* call, int fd) {
  if (count.load(std::memory_order_acquire) == 0) return {};
  const std::lock_guard lock{mutex};
  for (active& one : rules) {
    if (std::strcmp(one.what.call, call) != 0 || (one.what.fd >= 0 && one.what.fd != fd)) continue;
    const int nth = one.seen++;
    if (nth < one.what.after || one.hits >= one.what.times) continue;
    ++one.hits;
    return one.what;
  }
  return {};
}

/// The error to fail with; 0 to let the call through.
int error_for(const char* call, int fd) {
  const auto found = rule_for(call, fd);
  if (found && found->meanwhile) {
    found->meanwhile();
    return 0;
  }
  return found ? found->error : 0;
}

template <class Result>
bool failed(const char* call, int fd, Result& result) {
  const int error = error_for(call, fd);
  if (error == 0) return false;
  errno = error;
  result = -1;
  return true;
}

}  // namespace

injection::injection(const rule& what) {
  const std::lock_guard lock{mutex};
  id_ = next_id++;
  rules.push_back({id_, what});
  ++count;
}

injection::~injection() {
  const std::lock_guard lock{mutex};
  std::erase_if(rules, [this](const active& one) { return one.id == id_; });
  --count;
}

namespace {

std::atomic<std::int64_t> wall_step{0}, stepped_at{0};  // nanoseconds

std::int64_t true_wall_clock() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

template <class Stamp>
void step_stamp(cmsghdr& part, std::int64_t units_a_second) {
  Stamp stamp;
  std::memcpy(&stamp, CMSG_DATA(&part), sizeof stamp);
  auto& [seconds, rest] = stamp;
  const std::int64_t unit = 1'000'000'000 / units_a_second;
  std::int64_t at = seconds * 1'000'000'000 + rest * unit;
  if (at < stepped_at) return;
  at += wall_step;
  seconds = at / 1'000'000'000;
  rest = at % 1'000'000'000 / unit;
  std::memcpy(CMSG_DATA(&part), &stamp, sizeof stamp);
}

/// As the kernel would have stamped it.
void step_stamps(const msghdr& message) {
  if (wall_step == 0) return;
  auto& header = const_cast<msghdr&>(message);
  for (cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr; part = CMSG_NXTHDR(&header, part)) {
    if (part->cmsg_level != SOL_SOCKET) continue;
    if (part->cmsg_type == SCM_TIMESTAMP) step_stamp<timeval>(*part, 1'000'000);
    if (part->cmsg_type == SCM_TIMESTAMPNS) step_stamp<timespec>(*part, 1'000'000'000);
  }
}

}  // namespace

wall_clock_step::wall_clock_step(std::chrono::nanoseconds by) {
  stepped_at = true_wall_clock() / 1000 * 1000;  // as exact as the coarser stamps
  wall_step = by.count();
}
wall_clock_step::~wall_clock_step() { wall_step = 0; }

int injection::hits() const {
  const std::lock_guard lock{mutex};
  for (const active& one : rules) {
    if (one.id == id_) return one.hits;
  }
  return 0;
}

int injection::seen() const {
  const std::lock_guard lock{mutex};
  for (const active& one : rules) {
    if (one.id == id_) return one.seen;
  }
  return 0;
}

}  // namespace fault

// NOLINTBEGIN(bugprone-reserved-identifier): the names are the linker's (ld(1), --wrap).
// A call that returns -1 and sets errno:
#define UDPPUMP_WRAP(result, name, parameters, arguments, fd) \
  extern "C" result __real_##name parameters;                 \
  extern "C" result __wrap_##name parameters;                 \
  extern "C" result __wrap_##name parameters {                \
    result outcome;                                           \
    if (fault::failed(#name, fd, outcome)) return outcome;    \
    return __real_##name arguments;                           \
  }
// A call that returns -errno:
#define UDPPUMP_WRAP_NEGATIVE(name, parameters, arguments)            \
  extern "C" int __real_##name parameters;                            \
  extern "C" int __wrap_##name parameters;                            \
  extern "C" int __wrap_##name parameters {                           \
    if (const int error = fault::error_for(#name, -1)) return -error; \
    return __real_##name arguments;                                   \
  }

UDPPUMP_WRAP(int, socket, (int family, int type, int protocol), (family, type, protocol), -1)
UDPPUMP_WRAP(int, bind, (int fd, const sockaddr* to, socklen_t size), (fd, to, size), fd)
UDPPUMP_WRAP(int, connect, (int fd, const sockaddr* to, socklen_t size), (fd, to, size), fd)
UDPPUMP_WRAP(int, getsockname, (int fd, sockaddr* name, socklen_t* size), (fd, name, size), fd)
UDPPUMP_WRAP(int, setsockopt, (int fd, int level, int option, const void* value, socklen_t size),
             (fd, level, option, value, size), fd)
UDPPUMP_WRAP(int, getsockopt, (int fd, int level, int option, void* value, socklen_t* size),
             (fd, level, option, value, size), fd)
UDPPUMP_WRAP(ssize_t, recvfrom, (int fd, void* to, size_t size, int flags, sockaddr* from, socklen_t* from_size),
             (fd, to, size, flags, from, from_size), fd)
extern "C" ssize_t __real_recvmsg(int fd, msghdr* message, int flags);
extern "C" ssize_t __wrap_recvmsg(int fd, msghdr* message, int flags);
extern "C" ssize_t __wrap_recvmsg(int fd, msghdr* message, int flags) {
  ssize_t outcome;
  if (fault::failed("recvmsg", fd, outcome)) return outcome;
  outcome = __real_recvmsg(fd, message, flags);
  if (outcome >= 0) fault::step_stamps(*message);
  return outcome;
}
extern "C" int __real_clock_gettime(clockid_t which, timespec* now);
extern "C" int __wrap_clock_gettime(clockid_t which, timespec* now);
extern "C" int __wrap_clock_gettime(clockid_t which, timespec* now) {
  const int told = __real_clock_gettime(which, now);
  if (told != 0 || which != CLOCK_REALTIME || fault::wall_step == 0) return told;
  const std::int64_t at = now->tv_sec * std::int64_t{1'000'000'000} + now->tv_nsec + fault::wall_step;
  *now = {.tv_sec = at / 1'000'000'000, .tv_nsec = at % 1'000'000'000};
  return told;
}
UDPPUMP_WRAP(ssize_t, sendmsg, (int fd, const msghdr* message, int flags), (fd, message, flags), fd)
// Which of the two a socket takes for a datagram is its own affair: to a test both are sendmsg.
extern "C" ssize_t __real_sendto(int fd, const void* from, size_t size, int flags, const sockaddr* to,
                                 socklen_t to_size);
extern "C" ssize_t __wrap_sendto(int fd, const void* from, size_t size, int flags, const sockaddr* to,
                                 socklen_t to_size);
extern "C" ssize_t __wrap_sendto(int fd, const void* from, size_t size, int flags, const sockaddr* to,
                                 socklen_t to_size) {
  ssize_t outcome;
  if (fault::failed("sendmsg", fd, outcome)) return outcome;
  return __real_sendto(fd, from, size, flags, to, to_size);
}
UDPPUMP_WRAP(int, close, (int fd), (fd), fd)
UDPPUMP_WRAP(ssize_t, read, (int fd, void* to, size_t size), (fd, to, size), fd)
UDPPUMP_WRAP(ssize_t, pwritev2, (int fd, const iovec* parts, int count, off_t at, int flags),
             (fd, parts, count, at, flags), fd)
UDPPUMP_WRAP(ssize_t, write, (int fd, const void* from, size_t size), (fd, from, size), fd)
UDPPUMP_WRAP(int, poll, (pollfd * set, nfds_t size, int timeout), (set, size, timeout), size != 0 ? set[0].fd : -1)
extern "C" int __real_sendmmsg(int fd, mmsghdr* messages, unsigned size, int flags);
extern "C" int __wrap_sendmmsg(int fd, mmsghdr* messages, unsigned size, int flags);
extern "C" int __wrap_sendmmsg(int fd, mmsghdr* messages, unsigned size, int flags) {
  if (const auto order = fault::rule_for("sendmmsg", fd)) {
    if (order->at_most == 0) {
      errno = order->error;
      return -1;
    }
    size = std::min(size, order->at_most);
  }
  return __real_sendmmsg(fd, messages, size, flags);
}
UDPPUMP_WRAP(int, pipe2, (int* ends, int flags), (ends, flags), -1)
UDPPUMP_WRAP(int, eventfd, (unsigned value, int flags), (value, flags), -1)
extern "C" int __real_recvmmsg(int fd, mmsghdr* messages, unsigned size, int flags, timespec* timeout);
extern "C" int __wrap_recvmmsg(int fd, mmsghdr* messages, unsigned size, int flags, timespec* timeout);
extern "C" int __wrap_recvmmsg(int fd, mmsghdr* messages, unsigned size, int flags, timespec* timeout) {
  int outcome;
  if (fault::failed("recvmmsg", fd, outcome)) return outcome;
  outcome = __real_recvmmsg(fd, messages, size, flags, timeout);
  for (int at = 0; at < outcome; ++at) fault::step_stamps(messages[at].msg_hdr);
  return outcome;
}
UDPPUMP_WRAP(int, renameat, (int from, const char* name, int to, const char* other), (from, name, to, other), from)
UDPPUMP_WRAP(int, listen, (int fd, int backlog), (fd, backlog), fd)
UDPPUMP_WRAP(int, ftruncate, (int fd, off_t size), (fd, size), fd)
UDPPUMP_WRAP(int, madvise, (void* memory, std::size_t size, int advice), (memory, size, advice), -1)
UDPPUMP_WRAP(int, memfd_create, (const char* name, unsigned flags), (name, flags), -1)
UDPPUMP_WRAP(int, signalfd, (int fd, const sigset_t* signals, int flags), (fd, signals, flags), fd)
UDPPUMP_WRAP(int, inotify_init1, (int flags), (flags), -1)
UDPPUMP_WRAP(pid_t, fork, (), (), -1)
UDPPUMP_WRAP(int, epoll_create1, (int flags), (flags), -1)
UDPPUMP_WRAP(int, epoll_ctl, (int set, int operation, int fd, epoll_event* event), (set, operation, fd, event), fd)
UDPPUMP_WRAP(int, epoll_wait, (int set, epoll_event* events, int size, int timeout), (set, events, size, timeout), set)

extern "C" int __real_pthread_create(pthread_t* made, const pthread_attr_t* attributes, void* (*start)(void*),
                                     void* argument);
extern "C" int __wrap_pthread_create(pthread_t* made, const pthread_attr_t* attributes, void* (*start)(void*),
                                     void* argument);
extern "C" int __wrap_pthread_create(pthread_t* made, const pthread_attr_t* attributes, void* (*start)(void*),
                                     void* argument) {
  if (const int error = fault::error_for("pthread_create", -1)) return error;
  return __real_pthread_create(made, attributes, start, argument);
}

extern "C" int __real_getaddrinfo(const char* host, const char* service, const addrinfo* hints, addrinfo** found);
extern "C" int __wrap_getaddrinfo(const char* host, const char* service, const addrinfo* hints, addrinfo** found);
extern "C" int __wrap_getaddrinfo(const char* host, const char* service, const addrinfo* hints, addrinfo** found) {
  const int error = __real_getaddrinfo(host, service, hints, found);
  if (error != 0 || !fault::rule_for("getaddrinfo", -1)) return error;
  addrinfo& first = **found;
  // freeaddrinfo() gives each entry to free(), with the address behind it in the same piece (glibc, getaddrinfo.c).
  auto* const again = static_cast<addrinfo*>(std::malloc(sizeof first + first.ai_addrlen));
  *again = first;
  again->ai_addr = reinterpret_cast<sockaddr*>(again + 1);
  again->ai_canonname = nullptr;
  std::memcpy(again->ai_addr, first.ai_addr, first.ai_addrlen);
  first.ai_next = again;
  return 0;
}

#if defined(UDPPUMP_HAS_URING)
UDPPUMP_WRAP_NEGATIVE(io_uring_queue_init_params, (unsigned entries, io_uring* ring, io_uring_params* params),
                      (entries, ring, params))
UDPPUMP_WRAP_NEGATIVE(io_uring_ring_dontfork, (io_uring * ring), (ring))
UDPPUMP_WRAP_NEGATIVE(io_uring_register, (unsigned fd, unsigned what, const void* argument, unsigned size),
                      (fd, what, argument, size))
UDPPUMP_WRAP_NEGATIVE(io_uring_register_eventfd, (io_uring * ring, int fd), (ring, fd))
UDPPUMP_WRAP_NEGATIVE(io_uring_submit, (io_uring * ring), (ring))
UDPPUMP_WRAP_NEGATIVE(io_uring_submit_and_get_events, (io_uring * ring), (ring))
UDPPUMP_WRAP_NEGATIVE(io_uring_submit_and_wait, (io_uring * ring, unsigned least), (ring, least))
#endif
// NOLINTEND(bugprone-reserved-identifier)
