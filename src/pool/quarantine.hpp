#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <unordered_map>

#include "pool/board.hpp"
#include "pool/pool_log.hpp"
#include "udppump/address.hpp"
#include "udppump/pool_options.hpp"

namespace udppump::detail {

/// Whose datagrams workers died of, by sender_quarantine's rules. In the parent, which tells the workers by the board.
class quarantine {
 public:
  using clock = std::chrono::steady_clock;
  /// Senders that are remembered; those of the longest ago are forgotten.
  static constexpr std::size_t most_remembered = 1024;

  /// All outlive it.
  quarantine(const sender_quarantine& rule, board& shared, const pool_log& log)
      : rule_{rule}, shared_{shared}, log_{log} {}

  /// A worker died with a datagram of this sender in work.
  void note_death(const address& from, clock::time_point now);
  bool holds(const address& from, clock::time_point now) const noexcept;

 private:
  struct record {
    unsigned deaths = 0;
    clock::time_point last = {};
  };
  void make_room(clock::time_point now);
  void log_quarantine(const address& from, const record& what);

  const sender_quarantine rule_;
  board& shared_;
  const pool_log& log_;
  std::unordered_map<std::uint64_t, record> senders_;  // by sender_key()
};

}  // namespace udppump::detail
