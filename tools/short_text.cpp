#include "short_text.hpp"

#include <fmt/format.h>

#include <array>
#include <string_view>

namespace udppump::tools {

namespace {

/// Three digits, and a unit.
std::string scaled(double value, std::string_view unit) {
  const int decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  return fmt::format("{:.{}f}{}", value, decimals, unit);
}

}  // namespace

std::string short_count(std::uint64_t count) {
  if (count < 100'000) return std::to_string(count);
  auto value = static_cast<double>(count);
  for (const std::string_view unit : {"k", "M", "G", "T", "P"}) {
    value /= 1000;
    if (value < 999.5) return scaled(value, unit);
  }
  return scaled(value / 1000, "E");
}

std::string short_rate(double rate) {
  if (!(rate > 0)) return "0";
  if (rate < 100) return scaled(rate, "");
  return short_count(static_cast<std::uint64_t>(rate + 0.5));
}

std::string short_time(std::chrono::nanoseconds time) {
  auto value = static_cast<double>(time.count());
  if (value < 1) return "0";
  if (value < 1000) return fmt::format("{:.0f}ns", value);
  for (const std::string_view unit : {"us", "ms", "s"}) {
    value /= 1000;
    if (value < (unit == "s" ? 99.95 : 999.5)) return scaled(value, unit);
  }
  if (value < 100 * 60) return fmt::format("{:.0f}m", value / 60);
  if (value < 100 * 3600) return fmt::format("{:.0f}h", value / 3600);
  return fmt::format("{:.0f}d", value / 86'400);
}

std::string short_bytes(std::uint64_t bytes) {
  if (bytes < 1000) return std::to_string(bytes);
  auto value = static_cast<double>(bytes);
  for (const std::string_view unit : {"K", "M", "G", "T", "P"}) {
    value /= 1024;
    if (value < 999.5) return fmt::format("{:.{}f}{}", value, value < 99.95 ? 1 : 0, unit);
  }
  return scaled(value / 1024, "E");
}

}  // namespace udppump::tools
