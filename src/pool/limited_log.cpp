#include "pool/limited_log.hpp"

#include <algorithm>
#include <utility>

namespace udppump::detail {

void limited_log::write(level how, std::string_view name, std::string text, std::size_t most) {
  const auto now = clock::now();
  event& one = events_.try_emplace(name, event{.left = most}).first->second;
  if (now - one.since >= pause) {
    write_due(now);
    // Quiet for as long as it takes to have earned all of them again.
    if (now - one.since >= pause * most) one.left = most;
    one.left = std::max<std::size_t>(one.left, 1);
    one.since = now;
  }
  if (one.left > 0) {
    --one.left;
    return (log_.*how)(name, std::move(text), {});
  }
  ++one.withheld;
  one.of_last = how;
  one.last = std::move(text);
}

void limited_log::write_due(clock::time_point now) {
  for (auto& [name, one] : events_) {
    if (one.withheld == 0 || now - one.since < pause) continue;
    const std::size_t more = std::exchange(one.withheld, 0) - 1;
    one.since = now;
    (log_.*one.of_last)(name, std::move(one.last) + (more > 0 ? "; and " + std::to_string(more) + " like it" : ""), {});
  }
}

limited_log::clock::time_point limited_log::next() const noexcept {
  auto next = clock::time_point::max();
  for (const auto& [name, one] : events_) {
    if (one.withheld > 0) next = std::min(next, one.since + pause);
  }
  return next;
}

}  // namespace udppump::detail
