#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace udppump::tools {

/// Values in few columns, for tables: at most six characters each.

/// "0", "99999", "123k", "4.56M".
std::string short_count(std::uint64_t count);
/// The same of a rate: "0", "0.25", "12.3", "4567".
std::string short_rate(double rate);
/// "250ns", "1.2us", "340ms", "12.3s", "5m", "3h", "12d".
std::string short_time(std::chrono::nanoseconds time);
/// "0", "999", "12.3K", "4.0M", in powers of 1024.
std::string short_bytes(std::uint64_t bytes);

/// "-" for what is not known.
template <class Value, class Shorten>
std::string or_dash(const std::optional<Value>& value, Shorten shorten) {
  return value ? shorten(*value) : std::string{"-"};
}

}  // namespace udppump::tools
