#pragma once

#include <chrono>
#include <string>

#include "pool/crew.hpp"
#include "pool/pool_log.hpp"

namespace udppump::detail {

/// "worker 3 (pid 4711)".
std::string name_of(const crew::member& one, const worker_page& page);

/// What the log tells of a worker that ended: the text, and the fields.
struct obituary {
  std::string text;
  pool_log::fields fields;
};
/// `tells`: its page says what it served.
obituary obituary_of(const crew::dead_member& dead, const worker_page& page, std::chrono::nanoseconds lived,
                     bool tells);

}  // namespace udppump::detail
