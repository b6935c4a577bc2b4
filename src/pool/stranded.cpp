#include "pool/stranded.hpp"

#include <poll.h>

#include <algorithm>

#include "sys.hpp"

namespace udppump::detail {

namespace {

constexpr std::chrono::milliseconds interval{10};
constexpr std::chrono::milliseconds second_look{2};

bool is_idle(const worker_page& page) noexcept {
  return page.state.load(std::memory_order_acquire) == page_state::serving &&
         page.handling_since.load(std::memory_order_relaxed) == 0;
}

}  // namespace

stranded_watch::stranded_watch(board& shared, const std::vector<datagram_socket>& sockets)
    : shared_{shared}, next_{clock::now() + interval} {
  for (const datagram_socket& socket : sockets) descriptors_.push_back(socket.fd());
}

bool stranded_watch::something_waits() const noexcept {
  std::vector<pollfd> set;
  set.reserve(descriptors_.size());
  for (const int fd : descriptors_) set.push_back({.fd = fd, .events = POLLIN, .revents = 0});
  return sys::poll(set.data(), set.size(), 0) > 0 &&
         std::any_of(set.begin(), set.end(), [](const pollfd& one) { return (one.revents & POLLIN) != 0; });
}

unsigned stranded_watch::look(clock::time_point now) {
  unsigned kicked = 0;
  const bool waits = something_waits();
  if (suspects_.empty()) {
    if (waits) {
      for (std::size_t at = 0; at < shared_.pages(); ++at) {
        const worker_page& page = shared_.page(at);
        if (is_idle(page)) suspects_.push_back({at, page.received.load(std::memory_order_relaxed)});
      }
    }
  } else {
    for (const suspect& one : suspects_) {
      worker_page& page = shared_.page(one.page);
      if (!waits || !is_idle(page) || page.received.load(std::memory_order_relaxed) != one.received) continue;
      add(page.kicks, 1);
      page.looks.fetch_add(1, std::memory_order_release);
      shared_.notify(one.page);
      ++kicked;
    }
    suspects_.clear();
  }
  next_ = now + (suspects_.empty() ? interval : second_look);
  return kicked;
}

}  // namespace udppump::detail
