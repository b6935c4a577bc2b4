#include "load/plan/arrival_schedule.hpp"

#include <fmt/format.h>

#include <charconv>
#include <stdexcept>

#include "load/plan/quantity.hpp"

namespace udppump::load {

arrival_pattern arrival_pattern::parse(std::string_view text) {
  if (text == "poisson") return {};
  if (text == "constant") return {.kind = arrival_kind::constant};
  constexpr std::string_view bursts = "bursts:";
  if (text.starts_with(bursts)) {
    const std::string_view digits = text.substr(bursts.size());
    std::uint32_t size = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), size);
    if (error == std::errc{} && end == digits.data() + digits.size() && size >= 1 && size <= 1'000'000) {
      return {.kind = arrival_kind::bursts, .burst = size};
    }
  }
  throw std::invalid_argument{
      fmt::format("{} is no pattern of arrivals; there are poisson, constant and bursts:N", quoted(text))};
}

std::string arrival_pattern::to_string() const {
  if (kind == arrival_kind::bursts) return fmt::format("bursts:{}", burst);
  return kind == arrival_kind::constant ? "constant" : "poisson";
}

arrival_schedule::arrival_schedule(const arrival_pattern& pattern, double rate, std::uint64_t seed) noexcept
    : pattern_{pattern}, gap_{1e9 / rate * pattern.burst}, random_{seed, 0} {}

nanoseconds arrival_schedule::next() noexcept {
  if (count_++ % pattern_.burst == 0) elapsed_ += pattern_.kind == arrival_kind::constant ? 1 : random_.exponential();
  return nanoseconds{static_cast<std::int64_t>(elapsed_ * gap_)};
}

}  // namespace udppump::load
