#include "resource_limits.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <cstdint>
#include <stdexcept>

#include "load/plan/quantity.hpp"

namespace udppump::tools {
namespace {

[[noreturn]] void refuse(const std::string& text, const std::string& why) {
  throw std::invalid_argument{load::quoted(text) + " is no limit; " + why};
}

std::uint64_t limit_value(const std::string& text, const std::string& whole) {
  if (text == "unlimited" || text == "infinity") return RLIM_INFINITY;
  try {
    return load::parse_size(text);
  } catch (const std::invalid_argument&) {
    refuse(whole, load::quoted(text) + " is neither a number nor unlimited: write it like 1024 or 64M");
  }
}

std::string known_limits() {
  std::string names;
  for (const named_resource& each : named_resources()) names.append(names.empty() ? "" : " ").append(each.name);
  return names;
}

}  // namespace

resource_limit parse_limit(const std::string& text) {
  const auto equals = text.find('=');
  if (equals == std::string::npos) refuse(text, "write NAME=SOFT or NAME=SOFT:HARD, such as nofile=1024:4096");
  const std::string name = text.substr(0, equals);
  const std::string values = text.substr(equals + 1);
  const auto colon = values.find(':');
  const std::uint64_t soft = limit_value(values.substr(0, colon), text);
  const std::uint64_t hard = colon == std::string::npos ? soft : limit_value(values.substr(colon + 1), text);
  if (soft > hard) refuse(text, "the soft one is above the hard one: give the lower one first");
  const auto all = named_resources();
  const auto found = std::ranges::find(all, name, &named_resource::name);
  if (found == all.end()) {
    throw std::invalid_argument{load::quoted(text) + " is no limit that is known; there are: " + known_limits()};
  }
  return {.resource = found->resource, .soft = soft, .hard = hard};
}

}  // namespace udppump::tools
