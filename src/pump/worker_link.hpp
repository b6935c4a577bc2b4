#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "pump/kept_datagram.hpp"
#include "pump/quarantine_list.hpp"
#include "pump/worker_page.hpp"
#include "udppump/datagram_socket.hpp"
#include "udppump/export.hpp"
#include "udppump/pump_options.hpp"
#include "udppump/waiter.hpp"

namespace udppump::detail {

/// What a pool shares with one of its workers; all of it outlives the worker_link.
struct worker_share {
  worker_page& page;
  /// Which page it is; in what the worker takes from `offered`, it says who has it.
  std::uint32_t index;
  /// Raised whenever one of `offered` is offered: time to look.
  const std::atomic<std::uint32_t>& offers;
  /// Whose datagrams are dropped.
  const quarantine_list& quarantined;
  /// A descriptor to notify when the worker has news for the parent.
  int tell_parent;
  /// Where the worker receives into; null without redeliver.
  kept_datagram* own = nullptr;
  /// Datagrams of workers that died, for any worker to take.
  kept_row offered = {};
  /// Bytes that a kept datagram's payload has room for.
  std::uint32_t payload_limit = 0;
};

/// A worker's end of what it shares with its pool: pump and group tell here what they do, and find what the parent
/// wants of them. On the worker's thread, unless something else is said. A child that a handler forks lets go of it.
class UDPPUMP_EXPORT worker_link {  // exported for udppump::pool
 public:
  using clock = std::chrono::steady_clock;

  /// `descriptors` are those of the pool's sockets, by index. Touches and locks what the worker will receive into: a
  /// fault in the middle of that could be cut short by a signal.
  worker_link(const worker_share& share, std::vector<int> descriptors) noexcept;

  worker_page& page() noexcept { return page_; }

  // --- the group's ---
  /// The parent told the worker to stop. Any thread.
  bool told_to_stop() const noexcept { return (page_.orders.load(std::memory_order_acquire) & order_stop) != 0; }
  /// Once for each time that the parent asks to look at the sockets.
  bool told_to_look() noexcept;
  /// Whether told_to_look() would say so, or a datagram of a worker that died waits.
  bool has_news() const noexcept { return page_.looks.load(std::memory_order_acquire) != looks_seen_ || has_offers(); }
  /// Whether one was offered since take_offer() last found none.
  bool has_offers() const noexcept { return share_.offers.load(std::memory_order_acquire) != offers_seen_; }
  /// Takes a datagram that waits and whose socket `can_serve`; null if there is none.
  template <class Predicate>
  kept_datagram* take_offer(Predicate can_serve) {
    if (taken_ != nullptr) finished(*taken_);  // its handler threw
    const auto offers = share_.offers.load(std::memory_order_acquire);
    for (std::uint32_t at = 0; at < share_.offered.size(); ++at) {
      kept_datagram& one = share_.offered[at];
      auto expected = kept_datagram::offered;
      if (one.state.load(std::memory_order_acquire) != expected || !can_serve(descriptor(one))) continue;
      if (one.state.compare_exchange_strong(expected, kept_datagram::taken + share_.index, std::memory_order_acq_rel)) {
        return taken_ = &one;
      }
    }
    offers_seen_ = offers;
    return nullptr;
  }
  /// One that could not be served before may be now.
  void look_for_offers() noexcept { offers_seen_ = 0; }
  /// From the first time on, the pool counts on this worker.
  void serving() noexcept;
  void stopping() noexcept;
  std::function<void()> on_stop;
  /// What its pumps wait with; again when that has changed.
  void waits_with(waiter_kind kind, std::string_view fallback) noexcept;
  /// Of pumps that have none of their own.
  std::chrono::nanoseconds max_age{0};
  udppump::client_limit client_limit;
  udppump::client_share client_share;
  /// Of pumps on the lanes of the pool that have none of their own, 0: as max_age; empty if the pool has none.
  std::vector<std::chrono::nanoseconds> ages_by_lane = {};
  /// What a pump on the socket has if it has none of its own.
  std::chrono::nanoseconds max_age_for(const datagram_socket& socket) const noexcept;
  /// Whether the socket is of a lane that is kept for other workers. The answer may be another after told_to_look().
  bool withholds(const datagram_socket& socket) const noexcept;

  // --- the pump's ---
  bool keeps_datagrams() const noexcept { return share_.own != nullptr; }
  std::size_t payload_limit() const noexcept { return share_.payload_limit; }
  /// -1 if it is none of the pool's.
  int descriptor(const kept_datagram& kept) const noexcept {
    const std::size_t index = static_cast<const volatile std::uint32_t&>(kept.socket);  // others may write there
    return index < descriptors_.size() ? descriptors_[index] : -1;
  }
  /// Where this worker receives into, if it keeps datagrams.
  kept_datagram& own() noexcept { return *share_.own; }
  /// Empties own() and sets it up for recvmmsg() on `descriptor`. What was taken before is done with.
  void receive_into(int descriptor) noexcept;
  /// The handler has returned.
  void finished(kept_datagram& kept) noexcept;
  /// A handler starts; the time may be a few microseconds early.
  void handling(clock::time_point since) noexcept {
    page_.handling_since.store(nanoseconds_of(since), std::memory_order_relaxed);
  }
  void received(std::size_t lane, std::size_t bytes) noexcept {
    add(page_.counts.lanes[lane].received, 1);
    add(page_.counts.lanes[lane].bytes, bytes);
  }
  bool is_quarantined(const address& from) const noexcept { return share_.quarantined.holds(from); }
  void ignored(std::size_t lane, std::size_t count) noexcept { add(page_.counts.lanes[lane].ignored, count); }
  void quarantined(std::size_t lane, std::size_t count) noexcept { add(page_.counts.lanes[lane].quarantined, count); }
  void expired(std::size_t lane, std::size_t count) noexcept { add(page_.counts.lanes[lane].expired, count); }
  void limited(std::size_t lane, std::size_t count) noexcept { add(page_.counts.lanes[lane].limited, count); }
  /// From now on waited() is told.
  void knows_ages() noexcept { page_.knows_ages.store(1, std::memory_order_relaxed); }
  /// A datagram, which stands for `count`, had waited so long when it was taken.
  void waited(std::size_t lane, std::chrono::nanoseconds age, unsigned count) noexcept;
  /// Tickets of a lane that are out.
  std::atomic<std::int64_t>& in_flight(std::size_t lane) noexcept { return page_.in_flight[lane]; }
  /// `count` handlers of a lane have returned, after so much time together.
  void handled(std::size_t lane, unsigned count, clock::duration together) noexcept;
  /// No handler runs any more.
  void resting() noexcept { page_.handling_since.store(0, std::memory_order_relaxed); }
  /// An error of receiving that no on_error heard, for the parent's log.
  void met(const receive_error& error);
  /// Takes no datagram now, whatever waits: all its tickets are out.
  void full(bool is_full) noexcept { page_.full.store(is_full ? 1 : 0, std::memory_order_relaxed); }

 private:
  bool is_of_lane(const datagram_socket& socket) const noexcept;

  const worker_share share_;
  worker_page& page_;
  const std::vector<int> descriptors_;
  std::uint32_t looks_seen_ = 0, offers_seen_ = 0;
  kept_datagram* taken_ = nullptr;
  bool said_serving_ = false;
};

}  // namespace udppump::detail
