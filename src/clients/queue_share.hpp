#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "clients/client_key.hpp"
#include "clients/client_rows.hpp"
#include "udppump/client_share.hpp"

namespace udppump::detail {

/// What the clients have had of the queues that are behind.
class share_table {
 public:
  explicit share_table(const client_prefixes& clients) : key{"client_share", clients}, rows{"client_share"} {}

  const client_key key;
  client_rows rows;
};

/// What the workers of a socket tell each other about its queue, in memory that they share and that begins as zeros.
/// Times are those of the steady clock, in nanoseconds. Nothing is locked: a worker that dies in the middle costs a
/// step of the rate.
struct queue_note {
  using word = std::atomic<std::uint64_t>;

  word empty_at;   // a worker found the queue empty
  word looked_at;  // a worker last looked how much waits
  word mark;       // how much waited when the rate was last lowered, or less if less has waited since; bytes
  word steps;      // since that
  word rate;       // how much each client may have a second, in parts of a datagram; 0: the queue is not behind. Its
                   // lowest bits are flags
  word turns;      // what a client could have had so far that always had its rate: the clock of the clients' debts
  word rests_until;
};

/// One pump's part in the shares of its socket's clients. On the pump's thread.
class queue_share {
 public:
  using time_point = std::chrono::steady_clock::time_point;

  /// `note` outlives this. Without shares, if `shares` says so.
  queue_share(const client_share& shares, queue_note* note) noexcept : table_{shares.table_}, note_{note} {}

  explicit operator bool() const noexcept { return table_ != nullptr; }

  /// At `now` nothing waited, or a worker that waits for the socket would have taken it.
  void found_empty(time_point now) noexcept;
  /// What is left in the queue, and how much can be, in bytes as the kernel counts them.
  struct fill {
    std::size_t waiting, room;
  };
  /// Whether `count` datagrams of the client at `from` are served, which have been taken by now. `waiting()` is a fill,
  /// or nothing if the kernel does not tell; it is called a thousand times a second at most.
  template <class Waiting>
  bool admits(const address& from, time_point now, std::size_t count, Waiting waiting) noexcept {
    if (is_due(now) && claim_look()) looked(waiting());
    return note_->rate.load(std::memory_order_relaxed) == 0 || has_turn(from, count);
  }

 private:
  bool is_due(time_point now) noexcept;
  /// Whether it is this worker that looks.
  bool claim_look() noexcept;
  void looked(const std::optional<fill>& told) noexcept;
  void raise(std::uint64_t rate) noexcept;
  void lower(std::uint64_t rate) noexcept;
  bool has_turn(const address& from, std::size_t count) noexcept;

  std::shared_ptr<share_table> table_;
  queue_note* note_;
  last_client last_;
  std::uint64_t seen_look_ = 0;  // note_->looked_at when is_due() read it
  std::uint64_t now_ = 0;
};

}  // namespace udppump::detail
