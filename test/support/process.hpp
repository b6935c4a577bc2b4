#pragma once

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <new>
#include <type_traits>
#include <utility>

#include "support/serve.hpp"
#include "support/task_state.hpp"

/// A value that a process shares with those it forks.
template <class Value>
class shared {
 public:
  shared()
      : value_{new (::mmap(nullptr, sizeof(Value), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0))
                   Value{}} {}
  ~shared() { ::munmap(value_, sizeof(Value)); }
  shared(const shared&) = delete;
  shared& operator=(const shared&) = delete;
  Value& operator*() const { return *value_; }
  Value* operator->() const { return value_; }

 private:
  Value* value_;
};

/// fork(2). AddressSanitizer's allocator does not keep its locks whole over it: if another thread holds one at that
/// moment, as one that only begins does, the child waits for it for ever as soon as it makes a thread of its own. So
/// there it waits, for a second at the most, until every other thread sleeps.
inline pid_t fork_when_others_sleep() {
#if defined(__SANITIZE_ADDRESS__)
  eventually([] { return is_asleep(::getpid(), ::gettid()); }, std::chrono::seconds{1});
#endif
  return ::fork();
}

/// A forked child that runs a function and ends with what it returns, or with 97 if that is 0 but an expectation of its
/// own failed; ended by SIGKILL at the latest with this object.
class child_process {
 public:
  template <class Function>
  explicit child_process(Function body) {
    const pid_t parent = ::getpid();
    pid_ = fork_when_others_sleep();
    if (pid_ != 0) return;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(99);
    const bool had_failed = testing::Test::HasFailure();
    try {
      int status = 0;
      if constexpr (std::is_void_v<decltype(body())>) {
        body();
      } else {
        status = body();
      }
      ::_exit(status == 0 && !had_failed && testing::Test::HasFailure() ? 97 : status);
    } catch (const std::exception& thrown) {
      std::fprintf(stderr, "child: %s\n", thrown.what());
      ::_exit(98);
    }
  }
  child_process(child_process&& other) noexcept : pid_{std::exchange(other.pid_, -1)} {}
  child_process& operator=(child_process&&) = delete;
  ~child_process() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }

  pid_t pid() const { return pid_; }

  /// The status it exits with; 128 + the signal; -1 if it does not end in time.
  int join(std::chrono::milliseconds within = patience) {
    int status = 0;
    if (!eventually([&] { return ::waitpid(pid_, &status, WNOHANG) == pid_; }, within)) return -1;
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

 private:
  pid_t pid_;
};

/// Descriptors this process has open.
inline std::size_t open_descriptors() {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator{"/proc/self/fd"}) ++count;
  return count - 1;  // the iterator's own
}

/// Threads this process has.
inline std::size_t threads() {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator{"/proc/self/task"}) ++count;
  return count;
}

/// CPU time of the whole process.
inline std::chrono::nanoseconds cpu_time() {
  timespec now{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return std::chrono::seconds{now.tv_sec} + std::chrono::nanoseconds{now.tv_nsec};
}
