#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

/// Numbers as doctor writes them.
namespace udppump::doctor {

/// "1,234".
std::string number_text(std::uint64_t value);
/// "208 KiB", "4 MiB", "100 bytes"; what is cut off is not more than a tenth.
std::string bytes_text(std::uint64_t bytes);
/// "1,234 datagrams a second".
std::string rate_text(std::uint64_t count, std::string_view what, double seconds);
/// "12 s", "3 min".
std::string time_text(std::chrono::nanoseconds time);
/// "1 worker", "1,234 workers".
std::string counted(std::uint64_t count, std::string_view what);

}  // namespace udppump::doctor
