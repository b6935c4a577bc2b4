#include "doctor/wording.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "pool/counted.hpp"

namespace udppump::doctor {

std::string number_text(std::uint64_t value) {
  std::string text = std::to_string(value);
  for (std::size_t at = text.size(); at > 3; at -= 3) text.insert(at - 3, 1, ',');
  return text;
}

std::string bytes_text(std::uint64_t bytes) {
  constexpr std::array units{"bytes", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  std::size_t unit = 0;
  for (; value >= 1024 && unit + 1 < units.size(); ++unit) value /= 1024;
  const bool is_whole = value >= 100 || value == std::floor(value);
  return fmt::format("{:.{}f} {}", value, is_whole ? 0 : 1, units[unit]);
}

std::string counted(std::uint64_t count, std::string_view what) {
  return number_text(count) + ' ' + detail::so_many(count, what);
}

std::string rate_text(std::uint64_t count, std::string_view what, double seconds) {
  const double each = static_cast<double>(count) / std::max(seconds, 0.001);
  const auto rounded = std::max<std::uint64_t>(count == 0 ? 0 : 1, static_cast<std::uint64_t>(std::llround(each)));
  return counted(rounded, what) + " a second";
}

std::string time_text(std::chrono::nanoseconds time) {
  const double seconds = std::chrono::duration<double>{time}.count();
  if (seconds < 1) return fmt::format("{:.0f} ms", seconds * 1000);
  if (seconds < 120) return fmt::format("{:.0f} s", seconds);
  if (seconds < 7200) return fmt::format("{:.0f} min", seconds / 60);
  return fmt::format("{:.0f} h", seconds / 3600);
}

}  // namespace udppump::doctor
