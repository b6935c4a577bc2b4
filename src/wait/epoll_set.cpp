#include <cerrno>
#include <thread>

#include "sys/failure.hpp"
#include "sys/sys.hpp"
#include "wait/wait_set.hpp"

namespace udppump::detail {

namespace {

constexpr std::uint64_t interrupt_key = ~std::uint64_t{0};

/// A top-level epoll: EPOLLEXCLUSIVE then wakes one waiting process per datagram (epoll_ctl(2), Linux 4.5). Inside
/// another epoll it would not: exclusivity ends at the inner set.
///
/// EPOLLET changes nothing for what is removed as soon as it is reported. But a descriptor that was closed under the
/// pump while another process holds the socket cannot be removed any more (epoll(7)), and would be reported without
/// end.
class epoll_set final : public wait_set {
 public:
  epoll_set() : set_{sys::epoll_create()} {
    if (set_ < 0) fail_with_cure(set_, "epoll_create1");
    epoll_event event{.events = EPOLLIN, .data = {.u64 = interrupt_key}};
    const int added = sys::epoll_ctl(set_, EPOLL_CTL_ADD, interrupt_.fd(), &event);
    if (added >= 0) return;
    sys::close(set_);
    if (added == -ENOSPC) fail(added, "epoll_ctl", "raise the user's limit (sysctl fs.epoll.max_user_watches)");
    fail_with_cure(added, "epoll_ctl");
  }
  ~epoll_set() override { sys::close(set_); }

  waiter_kind kind() const noexcept override { return waiter_kind::thread; }

  std::error_code add(arming which, int fd) noexcept override {
    epoll_event event{.events = EPOLLIN | EPOLLET | EPOLLEXCLUSIVE, .data = {.u64 = which.packed()}};
    const int added = sys::epoll_ctl(set_, EPOLL_CTL_ADD, fd, &event);
    return added < 0 ? code_of(added) : std::error_code{};
  }

  void remove(arming, int fd) noexcept override {
    epoll_event ignored{};
    static_cast<void>(sys::epoll_ctl(set_, EPOLL_CTL_DEL, fd, &ignored));  // fails only if it is gone already
  }

  void wait(std::vector<firing>& readable, int timeout_ms) noexcept override {
    epoll_event events[64];
    const int count = sys::epoll_wait(set_, events, 64, timeout_ms);
    if (count < 0) std::this_thread::sleep_for(refusal_pause);
    for (int at = 0; at < count; ++at) {
      if (events[at].data.u64 == interrupt_key) {
        interrupt_.clear();
      } else {
        readable.push_back({arming::unpack(events[at].data.u64), static_cast<int>(events[at].events)});
      }
    }
  }

  void interrupt() noexcept override { interrupt_.notify(); }

 private:
  wake_signal interrupt_;
  int set_;
};

}  // namespace

std::unique_ptr<waiter> make_epoll_thread_waiter(const std::shared_ptr<wake_signal>& signal) {
  return make_thread_waiter(std::make_unique<epoll_set>(), signal);
}

}  // namespace udppump::detail
