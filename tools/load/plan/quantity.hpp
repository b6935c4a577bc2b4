#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "load/plan/clock.hpp"

/// Numbers with units, as a person writes and reads them. What cannot be read throws std::invalid_argument, which
/// quotes the text and says what was expected.
namespace udppump::load {

/// "250us", "1.5ms", "10s", "2min" or "2m", "1h", "800ns", "0": not negative.
nanoseconds parse_duration(std::string_view text);
/// The same; also "10", which is so many times `unit`.
nanoseconds parse_duration_in(nanoseconds unit, std::string_view text);
/// "5600", "12.5", "10k", "1.2M": above 0.
double parse_rate(std::string_view text);
/// "70%", "0.7": above 0, as a share of 1.
double parse_share(std::string_view text);

/// Three significant digits and the unit that fits: "1.04 ms", "87.0 us", "12.3 s"; "lost" for `unanswered`.
std::string format_duration(nanoseconds value);
/// Three significant digits: "1.04", "31.2", "417"; "-" for what is not a number, "inf" for infinity.
std::string format_number(double value);

}  // namespace udppump::load
