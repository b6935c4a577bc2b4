#pragma once

#include <string>
#include <system_error>

#include "udppump/export.hpp"
#include "udppump/failure.hpp"

namespace udppump::detail {

/// An errno, positive or negative as sys.hpp returns it, as an error code.
inline std::error_code code_of(long error) noexcept {
  return {static_cast<int>(error < 0 ? -error : error), std::generic_category()};
}

/// What helps against an errno whatever call it came from, such as "raise the limit ..."; for one that has no cure of
/// its own, what to do to find it.
UDPPUMP_EXPORT std::string cure_of(long error);  // exported for udppump::pool

/// For texts that tell cause and cure themselves.
[[noreturn]] inline void fail(long error, const std::string& text) { throw failure{code_of(error), text}; }
/// "WHAT: reason; CURE".
[[noreturn]] inline void fail(long error, const std::string& what, const std::string& cure) {
  throw failure{code_of(error), what, cure};
}
/// The same with the cure that the errno itself has.
[[noreturn]] inline void fail_with_cure(long error, const std::string& what) { fail(error, what, cure_of(error)); }

}  // namespace udppump::detail
