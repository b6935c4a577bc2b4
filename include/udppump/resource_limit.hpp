#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "udppump/export.hpp"

namespace udppump {

/// RLIMIT_... of each worker (setrlimit(2)); in the threads model of the whole process.
struct resource_limit {
  int resource = 0;
  std::uint64_t soft = 0;
  std::uint64_t hard = 0;
};

/// A resource that can be limited, such as "nofile" and RLIMIT_NOFILE.
struct named_resource {
  /// As prlimit(1) has it: that of setrlimit(2), in lower case and without RLIMIT_.
  std::string_view name;
  int resource;
};

/// All that Linux has, in alphabetical order.
UDPPUMP_EXPORT std::span<const named_resource> named_resources() noexcept;
/// Empty for a number that none of them has.
UDPPUMP_EXPORT std::string_view name_of_resource(int resource) noexcept;

}  // namespace udppump
