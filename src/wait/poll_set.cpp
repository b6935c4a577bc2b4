#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "sys/sys.hpp"
#include "wait/wait_set.hpp"

namespace udppump::detail {

namespace {

/// poll(2), as POSIX has it. What is added while another thread waits makes it start again with the new set.
class poll_set final : public wait_set {
 public:
  waiter_kind kind() const noexcept override { return waiter_kind::poll; }

  std::error_code add(arming which, int fd) noexcept override {
    {
      const std::lock_guard lock{mutex_};
      members_.push_back({which, fd});
    }
    interrupt_.notify();
    return {};
  }

  void remove(arming which, int) noexcept override {
    std::unique_lock lock{mutex_};
    std::erase_if(members_, [which](const member& one) { return one.which == which; });
    // poll(2) holds the socket as long as it sleeps, and so its port, whoever closes it.
    if (!polling_) return;
    interrupt_.notify();
    left_.wait(lock, [this] { return !polling_; });
  }

  void wait(std::vector<firing>& readable, int timeout_ms) noexcept override {
    {
      const std::lock_guard lock{mutex_};
      waiting_ = members_;
      polling_ = true;
    }
    descriptors_.assign(1, {.fd = interrupt_.fd(), .events = POLLIN, .revents = 0});
    for (const member& one : waiting_) descriptors_.push_back({.fd = one.fd, .events = POLLIN, .revents = 0});
    const int polled = sys::poll(descriptors_.data(), descriptors_.size(), timeout_ms);
    {
      const std::lock_guard lock{mutex_};
      polling_ = false;
    }
    left_.notify_all();
    if (polled < 0) std::this_thread::sleep_for(refusal_pause);
    if (polled <= 0) return;
    if (descriptors_[0].revents != 0) interrupt_.clear();
    for (std::size_t at = 0; at < waiting_.size(); ++at) {
      const int events = descriptors_[at + 1].revents;
      if (events != 0) readable.push_back({waiting_[at].which, events});
    }
  }

  void interrupt() noexcept override { interrupt_.notify(); }

 private:
  struct member {
    arming which;
    int fd;
  };
  wake_signal interrupt_;
  std::mutex mutex_;
  std::condition_variable left_;
  bool polling_ = false;  // under mutex_, as is the next
  std::vector<member> members_;
  std::vector<member> waiting_;  // the waiting thread's own, as is the next
  std::vector<pollfd> descriptors_;
};

}  // namespace

std::unique_ptr<waiter> make_poll_waiter(const std::shared_ptr<wake_signal>& signal) {
  return make_thread_waiter(std::make_unique<poll_set>(), signal);
}

}  // namespace udppump::detail
