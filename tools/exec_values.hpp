#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

#include "udppump/pool_options.hpp"

/// Values of options of `udppump exec`. What cannot be read throws std::invalid_argument.
namespace udppump::tools {

/// As a pool waits: "10", "0.5", "250ms", "10s", "2min", "1h"; without a unit it is `unit`. What is shorter than a
/// millisecond, and not 0, is one.
std::chrono::milliseconds parse_time(const std::string& text, std::chrono::milliseconds unit);
/// For add_parsed(): takes such a time.
inline auto time_in(std::chrono::milliseconds unit) {
  return [unit](const std::string& text) { return parse_time(text, unit); };
}

/// The name of an interface that is here now.
std::string parse_interface(const std::string& name);

multicast_membership parse_group(const std::string& text);

std::size_t parse_memory(const std::string& text);

void parse_restart_delay(const std::string& text, restart_policy& restart);

/// Names or numbers with commas between them; none of an empty text.
std::vector<std::string> parse_groups(const std::string& text);

}  // namespace udppump::tools
