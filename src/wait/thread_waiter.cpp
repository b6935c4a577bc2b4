#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <climits>
#include <mutex>
#include <optional>

#include "sys/failure.hpp"
#include "sys/sys.hpp"
#include "wait/wait_set.hpp"

namespace udppump::detail {

namespace {

using std::chrono::steady_clock;

// Sleeping, and a handful of calls, needs little; only what is touched becomes memory.
constexpr std::size_t stack_size = 256 * 1024;

/// A thread that sleeps in a wait_set. What becomes readable it takes out of the set at once, so that this worker is in
/// the kernel's wait queue no more while it is busy, and then wakes the pump's thread. It never receives.
class thread_waiter final : public waiter {
 public:
  thread_waiter(std::unique_ptr<wait_set> set, std::shared_ptr<wake_signal> signal)
      : set_{std::move(set)}, signal_{std::move(signal)} {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, std::max(stack_size, static_cast<std::size_t>(PTHREAD_STACK_MIN)));
    // Signals are for the program's own threads.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int failed = pthread_create(
        &thread_, &attributes,
        [](void* self) -> void* {
          static_cast<thread_waiter*>(self)->sleep_and_wake();
          return nullptr;
        },
        this);
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    pthread_attr_destroy(&attributes);
    if (failed != 0) fail(failed, "pthread_create", "raise the limit on processes (ulimit -u) or memory");
  }

  ~thread_waiter() override {
    if (abandoned_) return;
    {
      const std::lock_guard lock{mutex_};
      ending_ = true;
    }
    set_->interrupt();
    pthread_join(thread_, nullptr);
  }

  waiter_kind kind() const noexcept override { return set_->kind(); }

  std::error_code arm(arming which, int fd) noexcept override {
    const std::lock_guard lock{mutex_};
    if (armed_.size() <= which.slot) armed_.resize(which.slot + 1);
    armed_[which.slot] = {which.turn, fd};
    const auto failed = set_->add(which, fd);
    if (failed) armed_[which.slot] = {};
    return failed;
  }

  void disarm(arming which, int fd) noexcept override {
    const std::lock_guard lock{mutex_};
    if (is_armed(which)) armed_[which.slot] = {};
    set_->remove(which, fd);
  }

  void wake_after(std::chrono::nanoseconds delay) noexcept override {
    {
      const std::lock_guard lock{mutex_};
      if (wake_at_) return;
      wake_at_ = steady_clock::now() + delay;
    }
    set_->interrupt();
  }

  std::error_code serve(sleeper) noexcept override { return {}; }

  std::error_code collect(std::vector<firing>& fired) noexcept override {
    const std::lock_guard lock{mutex_};
    fired.insert(fired.end(), fired_.begin(), fired_.end());
    fired_.clear();
    pending_.store(false, std::memory_order_relaxed);
    return {};
  }

  std::error_code wait(std::vector<firing>& fired) noexcept override {
    pollfd one{.fd = signal_->fd(), .events = POLLIN, .revents = 0};
    const int polled = sys::poll(&one, 1, -1);
    if (polled < 0) return code_of(polled);
    signal_->clear();
    return collect(fired);
  }

  bool pending() const noexcept override { return pending_.load(std::memory_order_acquire); }

  void abandon() noexcept override { abandoned_ = true; }

 private:
  struct slot {
    std::uint32_t turn = 0;
    int fd = -1;
  };

  bool is_armed(arming which) const noexcept {
    return which.slot < armed_.size() && armed_[which.slot].fd >= 0 && armed_[which.slot].turn == which.turn;
  }

  void sleep_and_wake() noexcept {
    std::vector<firing> readable;
    for (int timeout_ms = -1;;) {
      readable.clear();
      set_->wait(readable, timeout_ms);
      bool wake = false;
      {
        const std::lock_guard lock{mutex_};
        if (ending_) return;
        for (const firing& one : readable) {
          if (!is_armed(one.which)) continue;  // disarmed while it was on its way here
          set_->remove(one.which, armed_[one.which.slot].fd);
          armed_[one.which.slot] = {};
          fired_.push_back(one);
          wake = true;
        }
        if (wake_at_ && *wake_at_ <= steady_clock::now()) {
          wake_at_.reset();
          wake = true;
        }
        if (!fired_.empty()) pending_.store(true, std::memory_order_release);
        timeout_ms = wake_at_ ? remaining_ms(*wake_at_) : -1;
      }
      if (wake) signal_->notify();
    }
  }

  static int remaining_ms(steady_clock::time_point until) noexcept {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - steady_clock::now());
    return static_cast<int>(std::max<std::int64_t>(left.count(), 0));
  }

  std::unique_ptr<wait_set> set_;
  std::shared_ptr<wake_signal> signal_;
  pthread_t thread_{};
  bool abandoned_ = false;
  std::atomic<bool> pending_{false};
  std::mutex mutex_;
  // Under mutex_:
  std::vector<slot> armed_;
  std::vector<firing> fired_;
  std::optional<steady_clock::time_point> wake_at_;
  bool ending_ = false;
};

}  // namespace

std::unique_ptr<waiter> make_thread_waiter(std::unique_ptr<wait_set> set, std::shared_ptr<wake_signal> signal) {
  return std::make_unique<thread_waiter>(std::move(set), std::move(signal));
}

}  // namespace udppump::detail
