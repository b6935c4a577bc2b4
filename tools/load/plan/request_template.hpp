#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "load/plan/request_plan.hpp"
#include "load/plan/work_message.hpp"

namespace udppump::load {

using bytes_view = std::span<const std::byte>;

/// The largest payload of UDP over IPv4.
inline constexpr std::size_t largest_payload = 65'507;
/// As much of an answer as any template reads.
inline constexpr std::size_t answer_head_size = 64;

/// Of the header of a DNS message (RFC 1035, section 4.1.1): RCODE and TC.
struct dns_verdict {
  std::uint8_t code = 0;
  bool truncated = false;
};
inline constexpr std::size_t dns_codes = 16;

/// How the requests of a run look, and how their answers are told apart. Requests are numbered within their flow (their
/// sequence); if the protocol has an id, it carries that number, and an answer gives it back.
///
/// If it has none, answers are matched in order: each goes to the flow's oldest request without one. That cannot
/// know of duplicates or reordering, and once a request was lost, the answers after it are taken for those of earlier
/// requests, until the lost one has timed out.
///
/// Constant after it was made: the sender's thread calls make(), the receiver's read().
class request_template {
 public:
  virtual ~request_template() = default;

  /// Low bits of the sequence that an answer carries; 0: none.
  virtual unsigned sequence_bits() const noexcept = 0;
  /// The payload of a request, valid until `space` is used again; `space` holds largest_payload bytes.
  virtual bytes_view make(const planned_request& request, std::uint64_t sequence, std::span<std::byte> space) const = 0;

  struct answer {
    /// The low sequence_bits() of the request's sequence.
    std::uint64_t sequence = 0;
    /// What a server under test tells.
    std::optional<work_answer> work = {};
    /// What a DNS server tells.
    std::optional<dns_verdict> dns = {};
  };
  /// Nothing if the bytes answer no request of this run. `head`: the first answer_head_size bytes of what came.
  virtual std::optional<answer> read(bytes_view head) const noexcept = 0;
};

}  // namespace udppump::load
