#include "load/plan/quantity.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>
#include <span>
#include <stdexcept>

#include "pool/counted.hpp"

namespace udppump::load {
namespace {

struct unit {
  std::string_view name;
  double factor;
};

/// A number with one of the units behind it; nothing if the text is anything else. The name of a unit may be empty.
std::optional<double> read(std::string_view text, std::span<const unit> units) {
  double value = 0;
  if (text.starts_with('-')) return {};  // "-0" as well, which is not below 0
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
  if (error != std::errc{} || !std::isfinite(value)) return {};
  const std::string_view rest = text.substr(static_cast<std::size_t>(end - text.data()));
  const auto found = std::ranges::find(units, rest, &unit::name);
  if (found == units.end() && !(value == 0 && rest.empty())) return {};
  return value == 0 ? 0 : value * found->factor;
}

constexpr std::array<unit, 7> times{
    {{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"min", 60e9}, {"m", 60e9}, {"h", 3600e9}}};
constexpr std::array<unit, 3> rates{{{"", 1}, {"k", 1e3}, {"M", 1e6}}};
constexpr std::array<unit, 2> shares{{{"", 1}, {"%", 0.01}}};

template <class Number>
Number whole_number(std::string_view text, Number least, Number most) {
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc{} && end == text.data() + text.size() && number >= least && number <= most) return number;
  throw std::invalid_argument{fmt::format("{} is no whole number from {} to {}", quoted(text), least, most)};
}

nanoseconds to_duration(std::optional<double> value, std::string_view text) {
  if (!value) {
    throw std::invalid_argument{fmt::format("{} is no time; write it like 250us, 1.5ms, 10s or 2min", quoted(text))};
  }
  constexpr double longest = 7 * 24 * 3600e9;
  if (*value > longest) throw std::invalid_argument{fmt::format("{} is too long; give a week at most", quoted(text))};
  return nanoseconds{std::llround(*value)};
}

}  // namespace

nanoseconds parse_duration(std::string_view text) { return to_duration(read(text, times), text); }

nanoseconds parse_duration_in(nanoseconds unit_of_numbers, std::string_view text) {
  auto value = read(text, times);
  if (!value) value = read(text, std::array{unit{"", static_cast<double>(unit_of_numbers.count())}});
  return to_duration(value, text);
}

double parse_rate(std::string_view text) {
  const auto value = read(text, rates);
  if (!value || *value <= 0) {
    throw std::invalid_argument{
        fmt::format("{} is no rate; write requests a second like 500, 10k or 1.2M", quoted(text))};
  }
  constexpr double highest = 1e9;  // the plan counts nanoseconds
  if (*value > highest)
    throw std::invalid_argument{fmt::format("{} is too much; give 1000M a second at most", quoted(text))};
  return *value;
}

double parse_share(std::string_view text) {
  const auto value = read(text, shares);
  if (!value || *value <= 0) {
    throw std::invalid_argument{fmt::format("{} is no share; write it like 70% or 0.7", quoted(text))};
  }
  if (*value > 1) {
    throw std::invalid_argument{fmt::format("{} is more than all; give 100% at most, like 70% or 0.7", quoted(text))};
  }
  return *value;
}

double parse_tolerance(std::string_view text) {
  return text == "none" ? std::numeric_limits<double>::infinity() : parse_share(text);
}

std::uint64_t parse_size(std::string_view text) {
  const auto refuse = [&](std::string_view why) {
    throw std::invalid_argument{fmt::format("{} is no size: {}", quoted(text), why)};
  };
  constexpr std::string_view expected = "bytes, such as 65536, 256K or 4M";
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc::result_out_of_range) refuse("more bytes than 64 bits count");
  if (error != std::errc{}) refuse(expected);
  std::string_view unit = text.substr(static_cast<std::size_t>(end - text.data()));
  for (const std::string_view ending : {"iB", "B"}) {
    if (unit.size() > ending.size() && unit.ends_with(ending)) {
      unit.remove_suffix(ending.size());
      break;
    }
  }
  constexpr std::string_view powers = "KMGT";
  std::size_t power = 0;
  if (!unit.empty()) {
    power = powers.find(unit == "k" ? 'K' : unit.front()) + 1;  // npos + 1 is 0
    if (power == 0 || unit.size() > 1) refuse(expected);
  }
  if (number > std::numeric_limits<std::uint64_t>::max() >> (10 * power)) refuse("more bytes than 64 bits count");
  return number << (10 * power);
}

std::uint64_t parse_buffer_size(std::string_view text) {
  const std::uint64_t size = parse_size(text);
  if (size == 0) {
    throw std::invalid_argument{
        fmt::format("{} holds nothing; give more, or omit the option for the kernel's default", quoted(text))};
  }
  constexpr std::uint64_t too_large = std::uint64_t{1} << 30;  // net/core/sock.c: __sock_set_rcvbuf
  if (size >= too_large) {
    throw std::invalid_argument{fmt::format("{} is more than the kernel gives; give less than 1G", quoted(text))};
  }
  return size;
}

std::uint64_t parse_count(std::string_view text, std::uint64_t least, std::uint64_t most) {
  return whole_number(text, least, most);
}

std::int64_t parse_integer(std::string_view text, std::int64_t least, std::int64_t most) {
  return whole_number(text, least, most);
}

std::string quoted(std::string_view text) {
  std::string quoted = "\"";
  for (const char each : text) {
    if (each >= ' ' && each <= '~') {
      quoted += each;
    } else {
      quoted += fmt::format("\\x{:02x}", static_cast<unsigned char>(each));
    }
  }
  return quoted + '"';
}

std::string format_duration(nanoseconds value) {
  if (value == unanswered) return "lost";
  static constexpr std::array<unit, 4> units{{{"s", 1e9}, {"ms", 1e6}, {"us", 1e3}, {"ns", 1}}};
  const auto count = static_cast<double>(value.count());
  const auto* const fitting =
      std::ranges::find_if(units, [&](const unit& each) { return std::abs(count) >= each.factor * 0.9995; });
  if (fitting == units.end()) return "0";
  if (fitting->factor == 1) return fmt::format("{} ns", value.count());
  return fmt::format("{} {}", format_number(count / fitting->factor), fitting->name);
}

std::string format_number(double value) {
  if (std::isnan(value)) return "-";
  if (std::isinf(value)) return "inf";
  const double size = std::abs(value);
  return fmt::format("{:.{}f}", value, size < 9.995 ? 2 : size < 99.95 ? 1 : 0);
}

std::string counted(std::uint64_t count, std::string_view what) { return detail::counted(count, what); }

std::string format_percent(double share) {
  return std::isfinite(share) ? fmt::format("{:.0f}%", 100 * share) : format_number(share);
}

}  // namespace udppump::load
