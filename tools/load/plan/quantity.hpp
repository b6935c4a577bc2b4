#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "load/plan/clock.hpp"

/// Numbers with units, as a person writes and reads them; all commands of the tool read their values with these. What
/// cannot be read throws std::invalid_argument, which quotes the text and says what was expected. Nothing is read that
/// a person did not clearly mean: no sign, exponent, blank, or anything behind the unit.
namespace udppump::load {

/// "250us", "1.5ms", "10s", "2min" or "2m", "1h", "800ns", "0": not negative, at most a week.
nanoseconds parse_duration(std::string_view text);
/// The same; also "10", which is so many times `unit`.
nanoseconds parse_duration_in(nanoseconds unit, std::string_view text);
/// "5600", "12.5", "10k", "1.2M": above 0, at most one request a nanosecond.
double parse_rate(std::string_view text);
/// "70%", "0.7": above 0, as a share of 1; at most 1.
double parse_share(std::string_view text);
/// The same for what may differ by so much; "none" is infinite.
double parse_tolerance(std::string_view text);
/// "4096", "256K", "4M", "1GiB": bytes, in powers of 1024.
std::uint64_t parse_size(std::string_view text);
/// The same for a socket's buffer: above 0, and less than the kernel's 1 GiB.
std::uint64_t parse_buffer_size(std::string_view text);
/// "8": decimal digits, a whole number from `least` to `most`.
std::uint64_t parse_count(std::string_view text, std::uint64_t least, std::uint64_t most);
/// The same, which may be negative.
std::int64_t parse_integer(std::string_view text, std::int64_t least, std::int64_t most);

/// A text in quotes, as an error quotes it: on one line, and what is not printable ASCII as \\xNN.
std::string quoted(std::string_view text);

/// Three significant digits and the unit that fits: "1.04 ms", "87.0 us", "12.3 s"; "lost" for `unanswered`.
std::string format_duration(nanoseconds value);
/// Three significant digits: "1.04", "31.2", "417"; "-" for what is not a number, "inf" for infinity.
std::string format_number(double value);
/// "1 datagram", "2 datagrams".
std::string counted(std::uint64_t count, std::string_view what);
/// Whole percents of a share of 1: "70%"; "-" for what is not a number.
std::string format_percent(double share);

}  // namespace udppump::load
