#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

#include "sys/failure.hpp"
#include "sys/sys.hpp"
#include "wait/waiter.hpp"

namespace udppump::detail {

namespace {

using std::chrono::steady_clock;

constexpr std::uint64_t signal_key = ~std::uint64_t{0};
constexpr int most_events = 64;

/// The thread that owns the pumps sleeps in an epoll of its own, in which each socket stays: exclusively, so that a
/// datagram wakes one worker (epoll_ctl(2), Linux 4.5). While nobody sleeps in an epoll, the kernel passes over it and
/// wakes the next worker instead (ep_poll_callback(), fs/eventpoll.c), so a worker that is busy or stopped takes no
/// wake-up. It also looks again at what it has reported, so that arming anew costs no system call.
///
/// The kernel wakes the first in the queue that sleeps, and a socket keeps its place: what idle workers get is packed
/// on few of them.
class epoll_waiter final : public waiter {
 public:
  explicit epoll_waiter(std::shared_ptr<wake_signal> signal) : signal_{std::move(signal)}, set_{make_set()} {}
  ~epoll_waiter() override { sys::close(set_); }  // a child's close() takes nothing out of the parent's set

  waiter_kind kind() const noexcept override { return waiter_kind::epoll; }

  std::error_code arm(arming which, int fd) noexcept override {
    if (slots_.size() <= which.slot) slots_.resize(which.slot + 1);
    slot& one = slots_[which.slot];
    if (one.fd != fd) {
      forget(which.slot);
      const int added = add(set_, which.slot, fd);
      if (added < 0) return code_of(added);
      one.fd = fd;
    }
    one.turn = which.turn;
    if (!std::exchange(one.armed, true)) ++armed_;
    return {};
  }

  void disarm(arming which, int) noexcept override { forget(which.slot); }

  void forget(std::uint32_t at) noexcept override {
    if (at >= slots_.size() || slots_[at].fd < 0) return;
    slot& one = slots_[at];
    if (one.armed) --armed_;
    epoll_event ignored{};
    if (sys::epoll_ctl(set_, EPOLL_CTL_DEL, one.fd, &ignored) < 0) stale_ = true;
    one = {};
  }

  void wake_after(std::chrono::nanoseconds delay) noexcept override {
    if (!wake_at_) wake_at_ = steady_clock::now() + delay;
  }

  std::error_code serve(sleeper) noexcept override { return {}; }

  std::error_code collect(std::vector<firing>& fired) noexcept override {
    return armed_ == 0 ? std::error_code{} : take(fired, 0);
  }

  std::error_code wait(std::vector<firing>& fired) noexcept override {
    if (!wake_at_) return take(fired, -1);
    using std::chrono::milliseconds;
    const auto left = std::chrono::ceil<milliseconds>(*wake_at_ - steady_clock::now());
    const auto failed = take(fired, static_cast<int>(std::clamp(left, milliseconds{0}, milliseconds{60'000}).count()));
    if (*wake_at_ <= steady_clock::now()) wake_at_.reset();
    return failed;
  }

  /// A system call, but run() never asks.
  bool pending() const noexcept override {
    epoll_event events[most_events];
    const int count = armed_ == 0 ? 0 : sys::epoll_wait_once(set_, events, most_events, 0);
    return std::any_of(events, events + std::max(count, 0), [this](const epoll_event& one) {
      const std::uint32_t from = arming::unpack(one.data.u64).slot;
      return one.data.u64 != signal_key && from < slots_.size() && slots_[from].armed;
    });
  }
  bool looks_when_armed() const noexcept override { return true; }
  void abandon() noexcept override {}

 private:
  struct slot {
    int fd = -1;  // in the set; -1: none
    std::uint32_t turn = 0;
    bool armed = false;
  };

  static int add(int set, std::uint32_t slot, int fd) noexcept {
    epoll_event event{.events = EPOLLIN | EPOLLEXCLUSIVE, .data = {.u64 = arming{slot, 0}.packed()}};
    return sys::epoll_ctl(set, EPOLL_CTL_ADD, fd, &event);
  }

  int make_set() const {
    const int set = sys::epoll_create();
    if (set < 0) fail_with_cure(set, "epoll_create1");
    epoll_event event{.events = EPOLLIN, .data = {.u64 = signal_key}};
    const int added = sys::epoll_ctl(set, EPOLL_CTL_ADD, signal_->fd(), &event);
    if (added >= 0) return set;
    sys::close(set);
    if (added == -ENOSPC) fail(added, "epoll_ctl", "raise the user's limit (sysctl fs.epoll.max_user_watches)");
    fail_with_cure(added, "epoll_ctl");
  }

  std::error_code take(std::vector<firing>& fired, int timeout_ms) noexcept {
    if (stale_) {
      if (const auto failed = renew()) return failed;
    }
    epoll_event events[most_events];
    const int count = sys::epoll_wait_once(set_, events, most_events, timeout_ms);
    if (count < 0) return count == -EINTR ? std::error_code{} : code_of(count);
    for (int at = 0; at < count; ++at) {
      if (events[at].data.u64 == signal_key) {
        if (timeout_ms != 0) signal_->clear();  // else wait() has yet to hear of it
        continue;
      }
      const std::uint32_t from = arming::unpack(events[at].data.u64).slot;
      if (from >= slots_.size() || slots_[from].fd < 0) {
        stale_ = true;
      } else if (std::exchange(slots_[from].armed, false)) {
        --armed_;
        fired.push_back({{from, slots_[from].turn}, static_cast<int>(events[at].events)});
      }
    }
    return {};
  }

  /// A set of its own again. A descriptor that was closed under its pump while another process has the socket too
  /// cannot be taken out of a set any more (epoll(7)), and would be reported without end.
  std::error_code renew() noexcept {
    int set;
    try {
      set = make_set();
    } catch (const std::system_error& refused) {
      return refused.code();
    }
    for (std::uint32_t at = 0; at < slots_.size(); ++at) {
      if (slots_[at].fd < 0) continue;
      const int added = add(set, at, slots_[at].fd);
      if (added >= 0) continue;
      sys::close(set);
      return code_of(added);
    }
    sys::close(std::exchange(set_, set));
    stale_ = false;
    return {};
  }

  std::shared_ptr<wake_signal> signal_;
  int set_;
  std::vector<slot> slots_;
  std::size_t armed_ = 0;
  bool stale_ = false;  // the set may report a socket that is in no slot
  std::optional<steady_clock::time_point> wake_at_;
};

}  // namespace

std::unique_ptr<waiter> make_epoll_waiter(const std::shared_ptr<wake_signal>& signal) {
  return std::make_unique<epoll_waiter>(signal);
}

}  // namespace udppump::detail
