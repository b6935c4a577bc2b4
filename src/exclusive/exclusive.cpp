// What `udppump exec` preloads into the programs that it runs (LD_PRELOAD, ld.so(8)). Their event loops put the sockets
// that were passed into an epoll of their own, where a datagram wakes all who wait. Here epoll_ctl(2) adds
// EPOLLEXCLUSIVE for these sockets, and for no other descriptor, so that it wakes one.
//
// It keeps no account of who has put what where: a socket is known by its cookie (SO_COOKIE, socket(7)), whatever
// descriptor it has, and what was made exclusive is known by how the kernel refuses EPOLL_CTL_MOD for it. So nothing
// here can go stale by close(2), dup(2), fork(2) or the end of an epoll.
//
// A part of its own, as it lives in programs of others: it includes nothing of udppump, calls the C library and nothing
// else, allocates nothing, and exports epoll_ctl alone. test/exec/exclusive-test.sh proves it, and docs/workers.md
// tells for whom it works.

#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace {

/// The kernel's own call: what it returns, or -errno, with errno as it was.
template <class... Arguments>
long call(long number, Arguments... arguments) noexcept {
  const int before = errno;
  const long result = ::syscall(number, arguments...);
  if (result >= 0) return result;
  const int error = errno;
  errno = before;
  return -error;
}
int control(int epoll, int operation, int fd, epoll_event* event) noexcept {
  return static_cast<int>(call(SYS_epoll_ctl, epoll, operation, fd, event));
}

/// One thread at a time is between the steps of a change. In the child of a fork nobody is: there the word is 0 again
/// (MADV_WIPEONFORK, madvise(2)), as the thread that had the lock is not there. Signals are blocked meanwhile, whose
/// handlers may call epoll_ctl too.
class change_lock {
 public:
  /// False if there is no such memory here, before Linux 4.14 for instance.
  bool make() noexcept {
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    void* const at = ::mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) return false;
    if (::madvise(at, page, MADV_WIPEONFORK) != 0) return ::munmap(at, page), false;
    word_ = static_cast<std::atomic<std::uint32_t>*>(at);
    return true;
  }

  /// As long as it lives, this thread has the lock.
  class held {
   public:
    explicit held(change_lock& lock) noexcept : word_{*lock.word_} {
      std::uint64_t all = ~std::uint64_t{0};
      call(SYS_rt_sigprocmask, SIG_SETMASK, &all, &signals_, sizeof all);
      std::uint32_t seen = free;
      if (word_.compare_exchange_strong(seen, taken, std::memory_order_acquire)) return;
      while (word_.exchange(awaited, std::memory_order_acquire) != free) {
        call(SYS_futex, &word_, FUTEX_WAIT_PRIVATE, awaited, nullptr, nullptr, 0);
      }
    }
    ~held() {
      if (word_.exchange(free, std::memory_order_release) == awaited) {
        call(SYS_futex, &word_, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
      }
      call(SYS_rt_sigprocmask, SIG_SETMASK, &signals_, nullptr, sizeof signals_);
    }
    held(const held&) = delete;
    held& operator=(const held&) = delete;

   private:
    static constexpr std::uint32_t free = 0, taken = 1, awaited = 2;
    std::atomic<std::uint32_t>& word_;
    std::uint64_t signals_ = 0;
  };

 private:
  std::atomic<std::uint32_t>* word_ = nullptr;
};
static_assert(sizeof(std::atomic<std::uint32_t>) == 4 && std::atomic<std::uint32_t>::is_always_lock_free);

/// The sockets that were passed.
class passed_sockets {
 public:
  /// Reads their cookies, with commas between them; all of them or none.
  void read(const char* text) noexcept {
    count_ = 0;
    std::size_t seen = 0;
    while (*text != '\0') {
      std::uint64_t cookie = 0;
      if (*text < '0' || *text > '9' || seen == most) return;
      for (; *text >= '0' && *text <= '9'; ++text) cookie = 10 * cookie + static_cast<std::uint64_t>(*text - '0');
      cookies_[seen++] = cookie;
      if (*text == ',') ++text;
    }
    count_ = seen;
  }
  void forget() noexcept { count_ = 0; }
  bool any() const noexcept { return count_ != 0; }

  bool has(int fd) const noexcept {
    if (count_ == 0) return false;
    std::uint64_t cookie = 0;
    socklen_t size = sizeof cookie;
    if (call(SYS_getsockopt, fd, SOL_SOCKET, SO_COOKIE, &cookie, &size) < 0) return false;
    for (std::size_t at = 0; at < count_; ++at) {
      if (cookies_[at] == cookie) return true;
    }
    return false;
  }

 private:
  static constexpr std::size_t most = 1024;  // as src/pool/exclusive_library.hpp has it
  std::size_t count_ = 0;
  std::uint64_t cookies_[most] = {};
};

constinit change_lock lock;
constinit passed_sockets passed;

/// What goes with EPOLLEXCLUSIVE (epoll_ctl(2)).
constexpr std::uint32_t allowed = EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE;
/// What goes without, as the kernel reports something else as well whenever it would report this of a datagram socket
/// (datagram_poll(), net/core/datagram.c): one that is shut down is readable, and the error queue is an error.
constexpr std::uint32_t needless_with_in = EPOLLRDHUP | EPOLLRDNORM | EPOLLPRI;
constexpr std::uint32_t needless_with_out = EPOLLWRNORM | EPOLLWRBAND;

/// What to ask of the kernel so that one is woken; the same as before if that is refused, as with EPOLLONESHOT.
std::uint32_t exclusive(std::uint32_t events) noexcept {
  std::uint32_t wanted = events;
  if ((events & EPOLLIN) != 0) wanted &= ~needless_with_in;
  if ((events & EPOLLOUT) != 0) wanted &= ~needless_with_out;
  return (wanted & ~allowed) == 0 ? wanted | EPOLLEXCLUSIVE : events;
}

int add(int epoll, int fd, epoll_event* event) noexcept {
  if (event == nullptr) return control(epoll, EPOLL_CTL_ADD, fd, event);
  epoll_event asked = *event;
  asked.events = exclusive(event->events);
  const int added = control(epoll, EPOLL_CTL_ADD, fd, &asked);
  return added == -EINVAL ? control(epoll, EPOLL_CTL_ADD, fd, event) : added;  // what it says without
}

/// EPOLL_CTL_MOD and EPOLL_CTL_DEL go to the kernel first. It refuses to modify what is exclusive (EINVAL), and finds
/// nothing (ENOENT) if another thread is between the two steps that this takes.
int change(int epoll, int operation, int fd, epoll_event* event) noexcept {
  const int done = control(epoll, operation, fd, event);
  if ((done != -EINVAL && done != -ENOENT) || !passed.has(fd)) return done;
  const change_lock::held alone{lock};
  const int again = control(epoll, operation, fd, event);
  if (again != -EINVAL || operation != EPOLL_CTL_MOD || event == nullptr || (event->events & EPOLLEXCLUSIVE) != 0) {
    return again;
  }
  // Adding looks at what the socket has now, as modifying does: what comes between the two is not missed.
  const int removed = control(epoll, EPOLL_CTL_DEL, fd, event);
  return removed < 0 ? again : add(epoll, fd, event);
}

int set(int epoll, int operation, int fd, epoll_event* event) noexcept {
  if (operation == EPOLL_CTL_ADD && passed.has(fd)) {
    const change_lock::held alone{lock};
    return add(epoll, fd, event);
  }
  if (operation == EPOLL_CTL_MOD || operation == EPOLL_CTL_DEL) return change(epoll, operation, fd, event);
  return control(epoll, operation, fd, event);
}

// --- the environment -------------------------------------------------------------------------------------------------

constexpr char sockets_variable[] = "UDPPUMP_EXCLUSIVE=";
constexpr char process_variable[] = "LISTEN_PID=";
constexpr char preload_variable[] = "LD_PRELOAD=";
constexpr char own_name[] = "libudppump_exclusive.so";

template <std::size_t Size>
bool begins(const char* text, const char (&with)[Size]) noexcept {
  return std::strncmp(text, with, Size - 1) == 0;
}

/// What stands behind the name; null if there is no such variable.
template <std::size_t Size>
char* value_of(const char (&name)[Size]) noexcept {
  for (char** variable = environ; *variable != nullptr; ++variable) {
    if (begins(*variable, name)) return *variable + Size - 1;
  }
  return nullptr;
}

template <std::size_t Size>
void remove_variable(const char (&name)[Size]) noexcept {
  char** kept = environ;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    if (!begins(*variable, name)) *kept++ = *variable;
  }
  *kept = nullptr;
}

bool is_own(const char* path, std::size_t size) noexcept {
  constexpr std::size_t length = sizeof own_name - 1;
  return size >= length && std::memcmp(path + size - length, own_name, length) == 0;
}

/// The value of LD_PRELOAD without this library, in place; whether something is left.
bool take_out(char* value) noexcept {
  char* end = value;
  for (const char* at = value; *at != '\0';) {
    const std::size_t size = std::strcspn(at, " :");
    if (size != 0 && !is_own(at, size)) {
      if (end != value) *end++ = ':';
      std::memmove(end, at, size);
      end += size;
    }
    at += size;
    if (*at != '\0') ++at;
  }
  *end = '\0';
  return end != value;
}

/// Before main(). What a worker executes in its place, as a shell or env(1) does, is the worker too (LISTEN_PID), so
/// its environment stays; of what it starts, the environment is as if this library had not been there. In place, as
/// shells take it from what main() is given.
[[gnu::constructor]] void begin() noexcept {
  if (environ == nullptr) return;
  if (const char* const sockets = value_of(sockets_variable); sockets != nullptr) passed.read(sockets);
  if (passed.any() && !lock.make()) passed.forget();
  std::uint64_t worker = 0;
  if (const char* digit = value_of(process_variable); digit != nullptr) {
    for (; *digit >= '0' && *digit <= '9'; ++digit) worker = 10 * worker + static_cast<std::uint64_t>(*digit - '0');
  }
  if (worker == static_cast<std::uint64_t>(::getpid())) return;
  remove_variable(sockets_variable);
  if (char* const preloaded = value_of(preload_variable); preloaded != nullptr && !take_out(preloaded)) {
    remove_variable(preload_variable);
  }
}

}  // namespace

extern "C" [[gnu::visibility("default")]] int epoll_ctl(int epoll, int operation, int fd, epoll_event* event) noexcept {
  const int done = set(epoll, operation, fd, event);
  if (done >= 0) return done;
  errno = -done;
  return -1;
}
