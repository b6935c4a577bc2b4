#include "pool/stranded.hpp"

#include <algorithm>

#include "sys/sys.hpp"

namespace udppump::detail {

namespace {

constexpr std::chrono::milliseconds interval{10};
constexpr std::chrono::milliseconds second_look{2};
constexpr unsigned looks_until_quiet = 50;

bool is_idle(const worker_page& page) noexcept {
  return page.state.load(std::memory_order_acquire) == page_state::serving &&
         page.handling_since.load(std::memory_order_relaxed) == 0 && page.full.load(std::memory_order_relaxed) == 0;
}

}  // namespace

stranded_watch::stranded_watch(board& shared, const std::vector<datagram_socket>& sockets)
    : shared_{shared}, sockets_{sockets} {
  for (const datagram_socket& socket : sockets) {
    descriptors_.push_back(socket.fd());
    set_.push_back({.fd = socket.fd(), .events = POLLIN, .revents = 0});
  }
}

std::span<const int> stranded_watch::wants_to_know() const noexcept {
  return next_ == clock::time_point::max() ? std::span<const int>{descriptors_} : std::span<const int>{};
}

void stranded_watch::arrived(clock::time_point now) noexcept {
  quiet_looks_ = 0;
  next_ = now + interval;
}

void stranded_watch::look_what_waits() noexcept {
  if (sys::poll(set_.data(), set_.size(), 0) > 0) return;
  for (pollfd& one : set_) one.revents = 0;
}

bool stranded_watch::something_waits() const noexcept {
  return std::ranges::any_of(set_, [](const pollfd& one) { return (one.revents & POLLIN) != 0; });
}

/// In a lane that the page's worker serves.
bool stranded_watch::something_waits_for(const worker_page& page) const noexcept {
  const std::uint32_t served = page.served_lanes.load(std::memory_order_relaxed);
  for (std::size_t at = 0; at < set_.size(); ++at) {
    if ((set_[at].revents & POLLIN) != 0 && ((served >> sockets_[at].lane()) & 1) != 0) return true;
  }
  return false;
}

unsigned stranded_watch::kick_idle_workers(clock::time_point now) {
  unsigned kicked = 0;
  look_what_waits();
  const bool waits = something_waits();
  const bool is_second = !suspects_.empty();
  for (const suspect& one : suspects_) {
    worker_page& page = shared_.page(one.page);
    if (!something_waits_for(page) || !is_idle(page) || taken_by(page) != one.taken) continue;
    add(page.counts.kicks, 1);
    page.looks.fetch_add(1, std::memory_order_release);
    shared_.notify(one.page);
    ++kicked;
  }
  suspects_.clear();
  if (waits && !is_second) {
    for (std::size_t at = 0; at < shared_.pages_used(); ++at) {
      const worker_page& page = shared_.page(at);
      if (is_idle(page) && something_waits_for(page)) suspects_.push_back({at, taken_by(page)});
    }
  }
  const std::uint64_t taken_now = shared_.taken();
  const bool is_quiet = !waits && taken_now == taken_before_;
  taken_before_ = taken_now;
  quiet_looks_ = is_quiet ? quiet_looks_ + 1 : 0;
  next_ =
      quiet_looks_ >= looks_until_quiet ? clock::time_point::max() : now + (suspects_.empty() ? interval : second_look);
  return kicked;
}

}  // namespace udppump::detail
