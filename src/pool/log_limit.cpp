#include "pool/log_limit.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "pool/duration_text.hpp"

namespace udppump::detail {

void log_limit::pass(pool_event event, std::size_t most, clock::time_point now, const writer& write) {
  kind& one = kinds_.try_emplace(event.name, kind{.left = most}).first->second;
  if (const auto quiet = now - one.since; quiet >= pause) {
    write_due(now, write);
    // For as long as it takes to have earned all of them again.
    if (quiet >= pause * most) one.left = most;
    one.left = std::max<std::size_t>(one.left, 1);
    one.since = now;
  }
  if (one.left > 0) {
    --one.left;
    return write(event);
  }
  if (one.withheld++ == 0) one.first_at = now;
  one.last_at = now;
  one.last = std::move(event);
}

void log_limit::write_due(clock::time_point now, const writer& write) {
  for (auto& [name, one] : kinds_) {
    if (one.withheld == 0 || (now != clock::time_point::max() && now - one.since < pause)) continue;
    const std::size_t more = std::exchange(one.withheld, 0) - 1;
    one.since = now == clock::time_point::max() ? one.since : now;
    pool_event last = std::move(one.last);
    if (more > 0) {
      const auto time = one.last_at - one.first_at;
      last.text += "; and " + std::to_string(more) + " like it in the " + duration_text(time) + " before";
      last.fields.emplace_back("like_it", std::to_string(more));
      last.fields.emplace_back("like_it_ms", std::to_string(time / std::chrono::milliseconds{1}));
    }
    write(last);
  }
}

log_limit::clock::time_point log_limit::next() const noexcept {
  auto next = clock::time_point::max();
  for (const auto& [name, one] : kinds_) {
    if (one.withheld > 0) next = std::min(next, one.since + pause);
  }
  return next;
}

}  // namespace udppump::detail
