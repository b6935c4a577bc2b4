#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "pool/crew.hpp"
#include "pool/pool_log.hpp"

namespace udppump::detail {

/// "worker 3 (pid 4711)".
std::string name_of(const crew::member& one);

/// What the log tells of a worker that ended: the text, and the fields.
struct obituary {
  std::string text;
  pool_log::fields fields;
};
/// Of the worker's own account, which is what `served` and `words`, its last ones, are, the text says so. `tells`: it
/// gave one of what it served.
obituary obituary_of(const crew::dead_member& dead, const std::string& words, std::uint64_t served,
                     std::chrono::nanoseconds lived, bool tells);

}  // namespace udppump::detail
