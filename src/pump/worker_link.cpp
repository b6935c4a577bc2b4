#include "pump/worker_link.hpp"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "socket/receive.hpp"
#include "sys/cut_text.hpp"
#include "sys/sys_memory.hpp"
#include "sys/wake_signal.hpp"

namespace udppump::detail {

worker_link::worker_link(const worker_share& share, std::vector<int> descriptors) noexcept
    : share_{share},
      page_{share.page},
      descriptors_{std::move(descriptors)},
      looks_seen_{page_.looks.load(std::memory_order_acquire)} {
  if (!keeps_datagrams()) return;
  std::memset(own().payload(), 0, share_.payload_limit);
  // RLIMIT_MEMLOCK may be small; without, swapping is a risk.
  static_cast<void>(sys::lock_memory(&own(), share_.offered.distance()));
}

bool worker_link::is_of_lane(const datagram_socket& socket) const noexcept {
  return socket.lane() < ages_by_lane.size() && std::ranges::find(descriptors_, socket.fd()) != descriptors_.end();
}

std::chrono::nanoseconds worker_link::max_age_for(const datagram_socket& socket) const noexcept {
  if (!is_of_lane(socket) || ages_by_lane[socket.lane()].count() == 0) return max_age;
  return ages_by_lane[socket.lane()];
}

bool worker_link::withholds(const datagram_socket& socket) const noexcept {
  return is_of_lane(socket) && ((page_.served_lanes.load(std::memory_order_relaxed) >> socket.lane()) & 1) == 0;
}

bool worker_link::told_to_look() noexcept {
  const auto looks = page_.looks.load(std::memory_order_acquire);
  return std::exchange(looks_seen_, looks) != looks;
}

void worker_link::receive_into(int descriptor) noexcept {
  if (taken_ != nullptr) finished(*taken_);
  kept_datagram& own = this->own();
  own.header.msg_len = kept_datagram::nothing;
  own.socket = static_cast<std::uint32_t>(std::find(descriptors_.begin(), descriptors_.end(), descriptor) -
                                          descriptors_.begin());
  own.part = {own.payload(), share_.payload_limit};
  own.header.msg_hdr = message_into(reinterpret_cast<sockaddr*>(&own.from), own.part, own.control);
}

void worker_link::finished(kept_datagram& kept) noexcept {
  kept.header.msg_len = kept_datagram::nothing;
  if (taken_ != &kept) return;
  taken_ = nullptr;
  kept.state.store(kept_datagram::free, std::memory_order_release);
}

void worker_link::handled(std::size_t lane, unsigned count, clock::duration together) noexcept {
  const auto time = static_cast<std::uint64_t>(std::max(clock::duration{0}, together).count());
  add(page_.counts.lanes[lane].handled, count);
  add(page_.counts.lanes[lane].handler_time, time);
  add(page_.counts.times[bucket_of(time / count)], count);
}

void worker_link::waited(std::size_t lane, std::chrono::nanoseconds age, unsigned count) noexcept {
  const auto time = static_cast<std::uint64_t>(std::max(std::chrono::nanoseconds{0}, age).count());
  add(page_.counts.lanes[lane].aged, count);
  add(page_.counts.lanes[lane].age_time, time * count);
  add(page_.counts.ages[bucket_of(time)], count);
}

void worker_link::waits_with(waiter_kind kind, std::string_view fallback) noexcept {
  show_text(page_.waiter_fallback, fallback);
  page_.waiter.store(static_cast<std::uint32_t>(kind), std::memory_order_release);
}

void worker_link::serving() noexcept {
  if (std::exchange(said_serving_, true)) return;
  auto starting = page_state::starting;
  page_.state.compare_exchange_strong(starting, page_state::serving, std::memory_order_release);
  notify(share_.tell_parent);
}

void worker_link::met(const receive_error& error) {
  told_errors& told = page_.errors[static_cast<std::size_t>(error.what)];
  std::string text{error.detail};
  if (text.empty()) text = error.code.message();
  if (!error.peer.is_none()) text += ", of a datagram to " + error.peer.to_string();
  text = shortened(text, told_errors::longest - 1);
  text.resize(told_errors::longest);  // with a zero at the end
  const char* from = text.data();
  for (shared_count& piece : told.text) {
    std::uint64_t bytes = 0;
    std::memcpy(&bytes, from, sizeof bytes);
    piece.store(bytes, std::memory_order_relaxed);
    from += sizeof bytes;
  }
  told.code.store(error.code.value(), std::memory_order_relaxed);
  told.count.store(told.count.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  // The parent looks once in a while: until it has, it need not be told again.
  if (page_.errors_are_new.exchange(1, std::memory_order_acq_rel) == 0) notify(share_.tell_parent);
}

void worker_link::stopping() noexcept { page_.state.store(page_state::stopping, std::memory_order_release); }

}  // namespace udppump::detail
