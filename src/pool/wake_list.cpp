#include "pool/wake_list.hpp"

#include <algorithm>

#include "sys/sys.hpp"

namespace udppump::detail {

void wake_list::watch(int fd, bool wake_reasons::*reason) {
  set_.push_back({.fd = fd, .events = POLLIN, .revents = 0});
  reasons_.push_back(reason);
}

int wake_list::poll_timeout(clock::time_point until, clock::time_point now) noexcept {
  constexpr std::chrono::milliseconds longest = std::chrono::minutes{1};
  if (until == clock::time_point::max()) return -1;
  if (until <= now) return 0;  // also if it is so long ago that no duration holds it
  if (until >= now + longest) return static_cast<int>(longest.count());
  return static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(until - now).count());
}

/// As many times a second all are looked at while poll() fails.
constexpr int pause_ms = 100;

wake_reasons wake_list::wait(clock::time_point until) {
  const int timeout_ms = poll_timeout(until, clock::now());
  wake_reasons woken;
  const int found = sys::poll(set_.data(), set_.size(), timeout_ms);
  if (found < 0) {
    // EINVAL: more than the process may have open by now, as a process of its user has lowered that.
    static_cast<void>(sys::poll(nullptr, 0, timeout_ms < 0 ? pause_ms : std::min(timeout_ms, pause_ms)));
    woken.error = found;
    for (const auto reason : reasons_) woken.*reason = true;
  }
  if (found <= 0) return woken;
  for (std::size_t at = 0; at < set_.size(); ++at) {
    if (set_[at].revents != 0) woken.*reasons_[at] = true;
  }
  return woken;
}

}  // namespace udppump::detail
