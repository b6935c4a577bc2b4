#include <liburing.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

#include "sys/failure.hpp"
#include "sys/sys.hpp"
#include "wait/waiter.hpp"

namespace udppump::detail {

namespace {

// Slots count up from 0, so these never name one.
constexpr std::uint64_t signal_key = ~std::uint64_t{0};
constexpr std::uint64_t timer_key = signal_key - 1;
constexpr std::uint64_t cancel_key = signal_key - 2;

// As many as fit into the two pages that the smallest ring takes. More completions wait in the kernel (NODROP).
constexpr unsigned submissions = 64;
constexpr unsigned completions = 128;

constexpr int patience = 1000;  // tries before a refusal that should pass counts as lasting

std::string cure_of_ring(int error) {
  const std::string other = without_ring;
  switch (error) {
    case -EPERM:
      return "kernel.io_uring_disabled or a container's seccomp profile forbids it: allow it, or " + other;
    case -ENOSYS:
      return "this kernel has no io_uring: " + other;
    case -EINVAL:
      return "it needs Linux 6.1 (SINGLE_ISSUER, DEFER_TASKRUN): " + other;
    case -ENOMEM:
      return "no memory for the ring: raise the limit on locked memory (ulimit -l), or " + other;
    case -EMFILE:
    case -ENFILE:
      return "no descriptor for the ring: raise the limit of open files (ulimit -n), or " + other;
    default:
      return other;
  }
}

/// One-shot exclusive polls: IORING_OP_POLL_ADD takes EPOLLEXCLUSIVE since Linux 5.9 and leaves the socket's wait queue
/// when it fires (io_uring/poll.c).
///
/// Rings here defer their task work (DEFER_TASKRUN): the kernel's other ways to complete a poll interrupt whatever
/// system call the program is in. What has fired is then only counted in the ring's flags, and the registered eventfd
/// signalled, until io_uring_enter() turns it into completions.
///
/// The ring is enabled by the first serve(), which makes that thread its only submitter.
class uring_waiter final : public waiter {
 public:
  explicit uring_waiter(std::shared_ptr<wake_signal> signal) : signal_{std::move(signal)} {
    if (!signal_->is_eventfd()) {
      fail(ENOSYS, "eventfd: refused here, and a ring can signal nothing else; allow eventfd2 (a seccomp profile may " +
                       std::string{"forbid it), or "} + without_ring);
    }
    io_uring_params params{};
    params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG |
                   IORING_SETUP_R_DISABLED | IORING_SETUP_CQSIZE;
    params.cq_entries = completions;
    const int made = io_uring_queue_init_params(submissions, &ring_, &params);
    if (made < 0) fail(made, "io_uring_setup", cure_of_ring(made));
    const int kept = io_uring_ring_dontfork(&ring_);
    if (kept < 0) {
      io_uring_queue_exit(&ring_);
      fail_with_cure(kept, "io_uring_ring_dontfork");
    }
  }

  ~uring_waiter() override {
    if (abandoned_) {
      sys::close(ring_.ring_fd);  // its memory was never mapped in this process (MADV_DONTFORK)
    } else {
      io_uring_queue_exit(&ring_);
    }
  }

  waiter_kind kind() const noexcept override { return waiter_kind::uring; }

  std::error_code arm(arming which, int fd) noexcept override {
    io_uring_sqe* const entry = next_entry();
    if (entry == nullptr) return code_of(EBUSY);
    io_uring_prep_poll_add(entry, fd, POLLIN | EPOLLEXCLUSIVE);
    entry->user_data = which.packed();
    ++outstanding_;
    return {};
  }

  void disarm(arming which, int) noexcept override {
    if (which.turn == 0 || !enabled_) return;
    cancel(which.packed());
  }

  void wake_after(std::chrono::nanoseconds delay) noexcept override {
    if (timer_armed_) return;
    io_uring_sqe* const entry = next_entry();
    if (entry == nullptr) return signal_->notify();
    timer_ = {delay.count() / 1'000'000'000, delay.count() % 1'000'000'000};
    io_uring_prep_timeout(entry, &timer_, 0, 0);
    entry->user_data = timer_key;
    timer_armed_ = true;
    ++outstanding_;
  }

  /// An event loop wants the eventfd signalled; wait() sleeps in the ring itself and polls the eventfd from there, for
  /// those who notify(). Both at once would feed on each other.
  std::error_code serve(sleeper who) noexcept override {
    if (who == sleeper_) return {};
    if (!enabled_) {
      // Not io_uring_enable_rings(): liburing 2.3's shared library does not export it.
      const int enabled =
          io_uring_register(static_cast<unsigned>(ring_.ring_fd), IORING_REGISTER_ENABLE_RINGS, nullptr, 0);
      if (enabled < 0) return code_of(enabled);
      enabled_ = true;
    }
    if (who == sleeper::event_loop) {
      if (signal_armed_) cancel(signal_key);
      const int registered = io_uring_register_eventfd(&ring_, signal_->fd());
      if (registered < 0) return code_of(registered);
    } else if (sleeper_ == sleeper::event_loop) {
      const int unregistered = io_uring_unregister_eventfd(&ring_);
      if (unregistered < 0) return code_of(unregistered);
    }
    sleeper_ = who;
    return {};
  }

  std::error_code collect(std::vector<firing>& fired) noexcept override { return gather(fired, 0); }

  std::error_code wait(std::vector<firing>& fired) noexcept override {
    signal_fired_ = false;
    if (!signal_armed_) {
      io_uring_sqe* const entry = next_entry();
      if (entry == nullptr) return code_of(EBUSY);
      io_uring_prep_poll_add(entry, signal_->fd(), POLLIN);
      entry->user_data = signal_key;
      signal_armed_ = true;
      ++outstanding_;
    }
    const auto failed = gather(fired, 1);
    if (signal_fired_) signal_->clear();
    return failed;
  }

  bool pending() const noexcept override {
    return enabled_ && (!kept_.empty() || io_uring_sq_ready(&ring_) != 0 ||
                        (IO_URING_READ_ONCE(*ring_.sq.kflags) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0 ||
                        io_uring_cq_ready(&ring_) != 0);
  }

  bool only_one_fired() const noexcept override {
    return outstanding_ == 1 && kept_.empty() && io_uring_sq_ready(&ring_) == 0 && pending();
  }

  bool looks_when_armed() const noexcept override { return true; }

  void abandon() noexcept override { abandoned_ = true; }

 private:
  io_uring_sqe* next_entry() noexcept {
    io_uring_sqe* entry = io_uring_get_sqe(&ring_);
    if (entry != nullptr || !enabled_) return entry;
    static_cast<void>(io_uring_submit(&ring_));
    return io_uring_get_sqe(&ring_);
  }

  /// Submits, waits for `least` completions, and takes all there are.
  std::error_code gather(std::vector<firing>& fired, unsigned least) noexcept {
    fired.insert(fired.end(), kept_.begin(), kept_.end());
    if (!kept_.empty() || std::exchange(timer_kept_, false)) least = 0;
    kept_.clear();
    if (least != 0 || io_uring_sq_ready(&ring_) != 0 || pending()) {
      const int entered = least != 0 ? io_uring_submit_and_wait(&ring_, least) : io_uring_submit_and_get_events(&ring_);
      // EINTR: the caller comes again. EBUSY: completions must be taken first. EAGAIN: no memory just now; what was not
      // submitted stays in the ring, and pending() tells of it (io_uring_enter(2)).
      const bool transient = entered == -EINTR || entered == -EBUSY || (entered == -EAGAIN && ++refused_ < patience);
      if (entered < 0 && !transient) return code_of(entered);
      if (entered >= 0) refused_ = 0;
    }
    take(fired);
    return {};
  }

  void take(std::vector<firing>& fired) noexcept {
    io_uring_cqe* completions_seen[completions];
    while (const unsigned count = io_uring_peek_batch_cqe(&ring_, completions_seen, completions)) {
      for (unsigned at = 0; at < count; ++at) note(*completions_seen[at], fired);
      io_uring_cq_advance(&ring_, count);
    }
  }

  void note(const io_uring_cqe& completed, std::vector<firing>& fired) noexcept {
    --outstanding_;
    switch (completed.user_data) {
      case signal_key:
        signal_armed_ = false;
        signal_fired_ = true;
        return;
      case timer_key:
        timer_armed_ = false;
        return;
      case cancel_key:
        cancel_result_ = completed.res;
        return;
      default:
        fired.push_back({arming::unpack(completed.user_data), completed.res});
    }
  }

  /// Cancels and waits until that has happened, so that nothing of it is left in the kernel; what else completes
  /// meanwhile is kept for the next collect(). Closing the ring instead would leave the wait queue only some time
  /// later.
  ///
  /// Not by IORING_OP_POLL_REMOVE: if the poll has just fired, that answers EALREADY and makes the kernel look at
  /// the socket again; if another worker was quicker, the poll is armed anew and never completes (io_poll_disarm() and
  /// io_poll_check_events(), io_uring/poll.c, Linux 6.18). IORING_OP_ASYNC_CANCEL marks the request as cancelled.
  void cancel(std::uint64_t key) noexcept {
    const auto is_cancelled = [key](const firing& seen) { return seen.which.packed() == key; };
    const auto completed = [&] {
      return key == signal_key ? !signal_armed_ : std::any_of(kept_.begin(), kept_.end(), is_cancelled);
    };
    int tries = 0;
    while (!completed()) {
      io_uring_sqe* const entry = next_entry();
      if (entry == nullptr) return;
      io_uring_prep_cancel64(entry, key, 0);
      entry->user_data = cancel_key;
      ++outstanding_;
      cancel_result_.reset();
      // -ENOENT: it completed before, and was collected. -EALREADY: ask again.
      while (!cancel_result_ || (*cancel_result_ >= 0 && !completed())) {
        const int entered = io_uring_submit_and_wait(&ring_, 1);
        const bool transient = entered == -EINTR || entered == -EBUSY || entered == -EAGAIN || entered == -ENOMEM;
        if (entered < 0 && (!transient || ++tries > patience)) return;  // the ring went with its thread
        const bool timed = timer_armed_;
        take(kept_);
        if (timed && !timer_armed_) timer_kept_ = true;
      }
      if (*cancel_result_ == -ENOENT) break;
    }
    std::erase_if(kept_, is_cancelled);
  }

  std::shared_ptr<wake_signal> signal_;
  io_uring ring_{};
  std::vector<firing> kept_;
  __kernel_timespec timer_{};
  std::size_t outstanding_ = 0;  // prepared and not yet completed
  std::optional<int> cancel_result_;
  sleeper sleeper_ = sleeper::nobody_yet;
  bool enabled_ = false, abandoned_ = false;
  bool signal_armed_ = false, signal_fired_ = false;
  bool timer_armed_ = false;
  int refused_ = 0;
  bool timer_kept_ = false;  // cancel() saw it go off
};

}  // namespace

std::unique_ptr<waiter> make_uring_waiter(const std::shared_ptr<wake_signal>& signal) {
  return std::make_unique<uring_waiter>(signal);
}

}  // namespace udppump::detail
