#pragma once

#include <string>
#include <system_error>

namespace udppump::detail {

/// An errno, positive or negative as sys.hpp returns it, as an error code.
inline std::error_code code_of(long error) noexcept {
  return {static_cast<int>(error < 0 ? -error : error), std::generic_category()};
}

/// What set-up throws: "WHAT: reason" or, with a cure, "WHAT: CURE: reason".
[[noreturn]] inline void fail(long error, const std::string& what) { throw std::system_error{code_of(error), what}; }

}  // namespace udppump::detail
