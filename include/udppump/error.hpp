#pragma once

#include <system_error>

#include "udppump/export.hpp"

namespace udppump {

/// Errors of udppump's own; what the kernel reports keeps std::generic_category().
enum class errc {
  /// The pump was made before a fork() and is now used in the child. Cure: call after_fork() in the child, or
  /// make the pump there.
  made_before_fork = 1,
  /// dispatch() or run() was called on another thread than the first time.
  wrong_thread,
  /// run() was called from inside a handler of the same pump or group.
  reentrant,
};

/// The category of errc; its name is "udppump", its messages name cause and cure.
UDPPUMP_EXPORT const std::error_category& error_category() noexcept;

inline std::error_code make_error_code(errc condition) noexcept {
  return {static_cast<int>(condition), error_category()};
}

}  // namespace udppump

template <>
struct std::is_error_code_enum<udppump::errc> : std::true_type {};
