#include "client_limit_option.hpp"

#include <fmt/format.h>

#include <set>
#include <stdexcept>
#include <string_view>

#include "load/plan/quantity.hpp"

namespace udppump::tools {
namespace {

constexpr std::string_view form = "RATE[,burst=N][,v4=/N][,v6=/N], such as 100,burst=200,v4=/24";

[[noreturn]] void refuse(const std::string& text, std::string_view why) {
  throw std::invalid_argument{fmt::format("{} {}: write {}", load::quoted(text), why, form)};
}

void set(client_rate& rule, const std::string& whole, std::string_view part, std::set<std::string_view>& given) {
  const auto equals = part.find('=');
  const auto name = part.substr(0, equals);
  if (equals == std::string_view::npos || equals + 1 == part.size()) refuse(whole, "has a part without a value");
  if (!given.insert(name).second) refuse(whole, fmt::format("has \"{}\" twice", name));
  auto value = part.substr(equals + 1);
  if (name == "burst") {
    rule.burst = load::parse_count(value, 1, 1'000'000);
    return;
  }
  const bool is_ipv4 = name == "v4";
  if (!is_ipv4 && name != "v6") refuse(whole, "has a part that is none of burst, v4 and v6");
  if (value.front() == '/') value.remove_prefix(1);
  (is_ipv4 ? rule.ipv4_prefix : rule.ipv6_prefix) =
      static_cast<unsigned>(load::parse_count(value, 1, is_ipv4 ? 32 : 128));
}

}  // namespace

client_limit parse_client_limit(const std::string& text) {
  const std::string_view all = text;
  auto comma = all.find(',');
  client_rate rule{.rate = load::parse_rate(all.substr(0, comma))};
  std::set<std::string_view> given;
  while (comma != std::string_view::npos) {
    const auto next = all.find(',', comma + 1);
    set(rule, text, all.substr(comma + 1, next == std::string_view::npos ? next : next - comma - 1), given);
    comma = next;
  }
  try {
    return rule;
  } catch (const std::invalid_argument& refused) {
    const std::string_view why = refused.what(), name = "client_limit: ";
    throw std::invalid_argument{
        fmt::format("{}: {}", load::quoted(text), why.starts_with(name) ? why.substr(name.size()) : why)};
  }
}

}  // namespace udppump::tools
