#include "quantity.hpp"

#include <sys/resource.h>

#include <charconv>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string_view>

#include "load/plan/quantity.hpp"

namespace udppump::tools {

namespace {

using std::chrono::milliseconds;

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
  throw std::invalid_argument{'"' + text + "\" " + why};
}

std::optional<std::uint64_t> size_of(const std::string& text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{}) return {};
  std::string_view unit{end, static_cast<std::size_t>(text.data() + text.size() - end)};
  for (const std::string_view ending : {"iB", "B"}) {
    if (unit.size() > ending.size() && unit.substr(unit.size() - ending.size()) == ending) {
      unit.remove_suffix(ending.size());
      break;
    }
  }
  constexpr std::string_view units = "KMGT";
  int shift = 0;
  if (unit.size() > 1) return {};
  if (unit.size() == 1) {
    const auto at = units.find(unit[0] == 'k' ? 'K' : unit[0]);
    if (at == std::string_view::npos) return {};
    shift = 10 * static_cast<int>(at + 1);
  }
  if (number > std::numeric_limits<std::uint64_t>::max() >> shift) return {};
  return number << shift;
}

std::uint64_t limit_value(const std::string& text, const std::string& whole) {
  if (text == "unlimited" || text == "infinity") return RLIM_INFINITY;
  const auto value = size_of(text);
  if (!value) refuse(whole, "is no limit: \"" + text + "\" is neither a number, such as 1024 or 64M, nor unlimited");
  return *value;
}

std::string known_limits() {
  std::string names;
  for (const named_limit& one : limits) names.append(names.empty() ? "" : " ").append(one.name);
  return names;
}

}  // namespace

std::uint64_t parse_size(const std::string& text) {
  const auto size = size_of(text);
  if (!size) refuse(text, "is no size: bytes, such as 65536, 256K or 4M");
  return *size;
}

milliseconds parse_time(const std::string& text, milliseconds unit) {
  const auto time = load::parse_duration_in(unit, text);
  if (time > std::chrono::hours{7 * 24}) refuse(text, "is absurd: at most a week");
  return std::chrono::ceil<milliseconds>(time);
}

resource_limit parse_limit(const std::string& text) {
  const auto equals = text.find('=');
  if (equals == std::string::npos) refuse(text, "is no limit: NAME=SOFT or NAME=SOFT:HARD, such as nofile=1024:4096");
  const std::string name = text.substr(0, equals);
  const std::string values = text.substr(equals + 1);
  const auto colon = values.find(':');
  const std::uint64_t soft = limit_value(values.substr(0, colon), text);
  const std::uint64_t hard = colon == std::string::npos ? soft : limit_value(values.substr(colon + 1), text);
  if (soft > hard) refuse(text, "is no limit: the soft one is above the hard one");
  for (const named_limit& one : limits) {
    if (one.name == name) return {.resource = one.resource, .soft = soft, .hard = hard};
  }
  refuse(text, "is no limit that is known; there are: " + known_limits());
}

}  // namespace udppump::tools
