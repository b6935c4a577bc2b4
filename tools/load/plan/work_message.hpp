#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "load/plan/clock.hpp"

/// Work messages, version 1: a client asks for so much work, and is told what it took. Numbers are in network byte
/// order, times in nanoseconds, signed.
///
///   offset size
///        0    3  "upw"
///        3    1  version: 1
///        4    1  kind: 0 asks, 1 answers
///        5    1  zero
///        6    2  answer: the worker's number, from 0
///        8    8  id: the client's; the answer has the same
///       16    8  service time asked for
///       24    8  answer: service time really used, from taking the request to having its answer ready
///       32    8  answer: how long the request waited in the kernel's queue before; -1 if the server does not know
///       40    8  answer: when the work began, CLOCK_MONOTONIC of the server's machine
///
/// In a request the answer's fields are zero, and any payload may follow. An answer is these 48 bytes alone: never
/// longer than what asked for it, so that the server amplifies nothing that came from a forged address.
namespace udppump::load {

inline constexpr std::size_t work_message_size = 48;
/// Where the service time asked for is.
inline constexpr std::size_t work_message_asked = 16;
/// A server refuses to work longer for one request; its answer says what it used.
inline constexpr nanoseconds longest_work = std::chrono::seconds{60};

struct work_request {
  std::uint64_t id = 0;
  nanoseconds asked{0};
  friend bool operator==(const work_request&, const work_request&) = default;
};

struct work_answer {
  std::uint64_t id = 0;
  nanoseconds asked{0};
  nanoseconds used{0};
  /// Nothing if the server does not know.
  std::optional<nanoseconds> waited = {};
  nanoseconds began{0};
  std::uint16_t worker = 0;
  friend bool operator==(const work_answer&, const work_answer&) = default;
};

using work_space = std::span<std::byte, work_message_size>;

void write(const work_request& request, work_space to) noexcept;
void write(const work_answer& answer, work_space to) noexcept;
/// Nothing if the bytes are no request of this version: too short, another magic, kind or version, a negative time.
std::optional<work_request> read_work_request(std::span<const std::byte> from) noexcept;
std::optional<work_answer> read_work_answer(std::span<const std::byte> from) noexcept;

}  // namespace udppump::load
