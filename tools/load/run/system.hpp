#pragma once

#include <cerrno>
#include <string>
#include <string_view>
#include <system_error>

namespace udppump::load {

/// The result of a system call, or std::system_error with `what` if it is negative.
template <class Result>
Result check(Result result, std::string_view what) {
  if (result < 0) throw std::system_error{errno, std::generic_category(), std::string{what}};
  return result;
}

/// Makes a system call again as long as a signal interrupts it.
template <class Call>
auto repeat(Call call) noexcept -> decltype(call()) {
  for (;;) {
    const auto result = call();
    if (result >= 0 || errno != EINTR) return result;
  }
}

}  // namespace udppump::load
