#include "resource_limits.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <stdexcept>
#include <string_view>

#include "load/plan/quantity.hpp"

namespace udppump::tools {
namespace {

struct named_limit {
  std::string_view name;
  int resource;
};

// In the order of prlimit(1); the names are those of setrlimit(2), in lower case and without RLIMIT_.
constexpr named_limit limits[] = {
    {"as", RLIMIT_AS},           {"core", RLIMIT_CORE},         {"cpu", RLIMIT_CPU},
    {"data", RLIMIT_DATA},       {"fsize", RLIMIT_FSIZE},       {"locks", RLIMIT_LOCKS},
    {"memlock", RLIMIT_MEMLOCK}, {"msgqueue", RLIMIT_MSGQUEUE}, {"nice", RLIMIT_NICE},
    {"nofile", RLIMIT_NOFILE},   {"nproc", RLIMIT_NPROC},       {"rss", RLIMIT_RSS},
    {"rtprio", RLIMIT_RTPRIO},   {"rttime", RLIMIT_RTTIME},     {"sigpending", RLIMIT_SIGPENDING},
    {"stack", RLIMIT_STACK}};

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
  for (const named_limit& each : limits) names.append(names.empty() ? "" : " ").append(each.name);
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
  const auto* const found = std::ranges::find(limits, name, &named_limit::name);
  if (found == std::end(limits)) {
    throw std::invalid_argument{load::quoted(text) + " is no limit that is known; there are: " + known_limits()};
  }
  return {.resource = found->resource, .soft = soft, .hard = hard};
}

}  // namespace udppump::tools
