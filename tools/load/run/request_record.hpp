#pragma once

#include <array>
#include <cstdint>

#include "load/plan/clock.hpp"
#include "load/plan/request_template.hpp"

namespace udppump::load {

/// What became of one request. Times are since the start of the run if nothing else is said.
struct request_record {
  nanoseconds intended{0};
  /// How much later than intended it was sent.
  nanoseconds lag{0};
  /// From the intended time of sending to the answer's arrival; `unanswered` if none came.
  nanoseconds latency = unanswered;
  /// Service time asked for; really used; waited in the server's queue before. The last two are -1 if nobody said.
  nanoseconds asked{0}, used{-1}, waited{-1};
  std::uint32_t flow = 0;
  /// Who answered; -1 if nobody said.
  std::int32_t worker = -1;
};

/// Counts of those requests that were due after the warm-up: sent + unsent is what was planned, answered + late + lost
/// is what was sent.
struct request_counts {
  std::uint64_t sent = 0;
  /// Refused by the kernel when they were to be sent.
  std::uint64_t unsent = 0;
  /// Within the timeout; after it; not at all.
  std::uint64_t answered = 0, late = 0, lost = 0;
  /// Further answers to a request that had one.
  std::uint64_t duplicates = 0;
  /// What came and answers no request that is remembered: of another run, much too late, or something else.
  std::uint64_t strange = 0;
  /// Of those lost: within the timeout, but their flow needed their id for another request.
  std::uint64_t reused = 0;
  /// First answers by DNS response code, and how many of them were truncated.
  std::array<std::uint64_t, dns_codes> codes{};
  std::uint64_t truncated = 0;

  friend bool operator==(const request_counts&, const request_counts&) = default;
};

}  // namespace udppump::load
