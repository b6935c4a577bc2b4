#pragma once

#include <chrono>
#include <string>

namespace udppump::detail {

/// For a log: "12 ms", "3.4 s".
inline std::string duration_text(std::chrono::nanoseconds time) {
  const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(time).count();
  if (milliseconds < 1000) return std::to_string(milliseconds) + " ms";
  return std::to_string(milliseconds / 1000) + '.' + std::to_string(milliseconds % 1000 / 100) + " s";
}

}  // namespace udppump::detail
