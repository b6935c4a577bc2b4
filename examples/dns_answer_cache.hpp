#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "dns_zone.hpp"

/// dns_answer(), with the short answers that it gave lately kept: what follows a packet's id decides all of the answer,
/// except for the id itself and for how its name is spelled, in upper or lower case. Memory is fixed, 4 MiB: who asks
/// for names without end only pushes others' answers out. One thread.
class dns_answer_cache {
 public:
  /// The zone must outlive it, and not change.
  explicit dns_answer_cache(const dns_zone& zone) : zone_{zone}, sets_(set_count), slots_(set_count * ways) {}

  /// As dns_answer(); the bytes stay until the next call.
  std::optional<std::span<const std::byte>> answer(std::span<const std::byte> packet);

  /// How many answers were taken from what was kept.
  std::uint64_t hits() const noexcept { return hits_; }

 private:
  struct slot {
    std::uint16_t key_size = 0;  // 0: nothing is kept here
    std::uint16_t answer_size = 0;
    std::array<std::byte, 252> bytes;  // key, then answer
  };
  /// Where an answer may be kept: in one of these. Of each, some bits of its key's hash, so that mostly just one slot
  /// is looked at.
  static constexpr std::size_t ways = 4;
  struct set {
    std::array<std::uint32_t, ways> marks{};
    std::uint32_t next = 0;  // that is given up for a new one
  };
  static constexpr std::size_t set_count = 4096;

  const dns_zone& zone_;
  std::vector<set> sets_;
  std::vector<slot> slots_;  // `ways` for each set
  std::vector<std::byte> unkept_;
  std::uint64_t hits_ = 0;
};
