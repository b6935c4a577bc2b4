#include "pool/untaken.hpp"

#include <algorithm>

namespace udppump::detail {

untaken_watch::untaken_watch(const pool_sockets& sockets) : sockets_{sockets} {
  for (const datagram_socket& socket : sockets.all()) {
    all_.push_back(watched{.socket = &socket, .from = receiver{socket}});
    static_cast<void>(all_.back().from.note_times());
  }
}

void untaken_watch::look(clock::time_point now) {
  for (watched& one : all_) {
    const auto oldest = one.from.head();
    if (oldest && oldest == one.oldest) continue;
    // Without a stamp: empty, or a new socket in the place of a spoilt one, or somebody turned stamps off.
    if (!oldest && queue_memory_of(one.socket->fd()).value_or(queue_memory{}).fill != 0) {
      static_cast<void>(one.from.note_times());
      one.taken_at = now;  // it cannot be told: as if
      one.oldest.reset();
      continue;
    }
    if (one.oldest) {
      one.was_served = true;
      one.taken_at = now;
    }
    one.oldest = oldest;
    one.oldest_since = now;
  }
}

std::optional<untaken_watch::stuck> untaken_watch::judge(std::uint32_t lanes, clock::time_point serves_since,
                                                         std::chrono::nanoseconds most, clock::time_point now) const {
  auto last_taken = clock::time_point::min();
  const watched* longest = nullptr;
  const auto is_served = [lanes](const watched& one) { return ((lanes >> one.socket->lane()) & 1) != 0; };
  const bool is_only = std::ranges::count_if(all_, is_served) == 1;
  for (const watched& one : all_) {
    if (!is_served(one)) continue;
    last_taken = std::max(last_taken, one.taken_at);
    // What quick programs take is mostly gone before it is seen.
    if (!one.oldest || (!one.was_served && !is_only)) continue;
    if (longest == nullptr || one.oldest_since < longest->oldest_since) longest = &one;
  }
  if (longest == nullptr) return {};
  const auto since = std::max({longest->oldest_since, serves_since, last_taken});
  if (now - since < most) return {};
  return stuck{now - since, sockets_.description(static_cast<std::size_t>(longest - all_.data()))};
}

}  // namespace udppump::detail
