#include "pool/wake_list.hpp"

#include <algorithm>

#include "sys/sys.hpp"

namespace udppump::detail {

void wake_list::watch(int fd, bool wake_reasons::*reason) {
  set_.push_back({.fd = fd, .events = POLLIN, .revents = 0});
  reasons_.push_back(reason);
}

wake_reasons wake_list::wait(clock::time_point until) {
  int timeout_ms = -1;
  if (until != clock::time_point::max()) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - clock::now()).count();
    timeout_ms = static_cast<int>(std::clamp<long>(left, 0, 60'000));
  }
  wake_reasons woken;
  if (sys::poll(set_.data(), set_.size(), timeout_ms) <= 0) return woken;
  for (std::size_t at = 0; at < set_.size(); ++at) {
    if (set_[at].revents != 0) woken.*reasons_[at] = true;
  }
  return woken;
}

}  // namespace udppump::detail
