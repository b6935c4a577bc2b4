#include "pool/worker_signals.hpp"

#include "pool/stray_signal.hpp"
#include "sys/sys_process.hpp"
#include "sys/wake_signal.hpp"

namespace udppump::detail {

namespace {

/// Whom SIGTERM is for, in a worker's process; signal handlers find things in globals only.
struct {
  worker_page* page = nullptr;
  int signal = -1;
} told;

void on_term(int) {
  told.page->orders.fetch_or(order_stop, std::memory_order_release);
  notify(told.signal);
}

/// Neither handled nor ignored, nor blocked, which is how a program takes a signal by waiting for it (sigwait(3)).
void add_if_unwanted(int signal, const sigset_t& blocked, sigset_t& to) noexcept {
  struct sigaction now {};
  if (sigismember(&blocked, signal) == 1 || sys::signal_disposition(signal, now) < 0) return;
  if ((now.sa_flags & SA_SIGINFO) == 0 && now.sa_handler == SIG_DFL) sigaddset(&to, signal);
}

}  // namespace

sigset_t with_parents_signals(sigset_t mask) noexcept {
  for (const int one : {SIGTERM, SIGINT, SIGHUP, SIGUSR2, SIGTTIN, SIGTTOU, SIGCHLD}) sigaddset(&mask, one);
  return mask;
}

sigset_t parents_signals() noexcept {
  sigset_t none;
  sigemptyset(&none);
  return with_parents_signals(none);
}

void take_workers_signals(board& shared, std::size_t page) {
  told = {&shared.page(page), shared.page_signal(page)};
  struct sigaction action {};
  action.sa_handler = on_term;
  action.sa_flags = SA_RESTART;
  static_cast<void>(sys::signal_action(SIGTERM, action));
  action.sa_handler = SIG_IGN;  // a terminal's Ctrl-C goes to all, and the parent acts on it
  for (const int parents : {SIGINT, SIGHUP, SIGUSR2, SIGTTIN, SIGTTOU})
    static_cast<void>(sys::signal_action(parents, action));
}

blocked_signals::blocked_signals(sigset_t& before, strays others) : set_{parents_signals()}, before_{before} {
  static_cast<void>(sys::signal_mask(SIG_BLOCK, set_, &before));
  if (others == strays::blocked) {
    for (const int signal : stray_signals()) add_if_unwanted(signal, before, set_);
    for (int signal = SIGRTMIN; signal <= SIGRTMAX; ++signal) add_if_unwanted(signal, before, set_);
    static_cast<void>(sys::signal_mask(SIG_BLOCK, set_));
  }
  // Ignored, as some shells and daemons leave it, children would end unseen (waitpid(2)).
  struct sigaction by_default {};
  by_default.sa_handler = SIG_DFL;
  static_cast<void>(sys::signal_action(SIGCHLD, by_default, &on_child_));
}

blocked_signals::~blocked_signals() {
  while (sys::take_pending(set_) > 0) {
  }
  static_cast<void>(sys::signal_action(SIGCHLD, on_child_));
  static_cast<void>(sys::signal_mask(SIG_SETMASK, before_));
}

}  // namespace udppump::detail
