#include "lane_option.hpp"

#include <algorithm>
#include <cstddef>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>

#include "load/plan/quantity.hpp"
#include "udppump/payload_match.hpp"

#if defined(UDPPUMP_HAS_PCAP)
#include "udppump/pcap_match.hpp"
#endif

namespace udppump::tools {

namespace {

constexpr std::size_t most_workers = 4096;

payload_match match_of(const std::string& lane, const std::string& expression) {
#if defined(UDPPUMP_HAS_PCAP)
  try {
    return pcap_match(expression);
  } catch (const std::invalid_argument& refused) {
    throw std::invalid_argument{"lane " + lane + ": " + refused.what()};
  }
#else
  throw std::invalid_argument{"lane " + lane + ": " + load::quoted(expression) +
                              ": this udppump was built without libpcap, which reads expressions; build it with it"};
#endif
}

/// Takes one of the options at the end of `text` off it; false if there is none. No expression has a comma.
bool take_option(std::string& text, lane& into, std::set<std::string>& given, payload_match& senders) {
  const auto comma = text.rfind(',');
  if (comma == std::string::npos) return false;
  std::string_view option = std::string_view{text}.substr(comma + 1);
  option.remove_prefix(std::min(option.find_first_not_of(' '), option.size()));
  const auto equals = option.find('=');
  const std::string name{option.substr(0, equals)};
  if (name != "reserve" && name != "workers" && name != "receive-buffer" && name != "from") {
    throw std::invalid_argument{load::quoted(text) + ": " + load::quoted(name) +
                                " is no option of a lane; there are from, reserve, workers and receive-buffer"};
  }
  if (equals == std::string_view::npos) {
    throw std::invalid_argument{load::quoted(text) + ": after \"" + name + "\" a value is missing"};
  }
  if (!given.insert(name).second) throw std::invalid_argument{load::quoted(text) + ": " + name + " is given twice"};
  const std::string value{option.substr(equals + 1)};
  if (name == "reserve") into.reserve = static_cast<std::size_t>(load::parse_count(value, 0, most_workers));
  if (name == "workers") into.workers = static_cast<std::size_t>(load::parse_count(value, 1, most_workers));
  if (name == "receive-buffer") into.receive_buffer = static_cast<std::size_t>(load::parse_buffer_size(value));
  if (name == "from") senders = payload_match::from(value);
  text.erase(comma);
  return true;
}

}  // namespace

lane parse_lane(const std::string& text) {
  lane parsed;
  std::string left = text;
  std::set<std::string> given;
  payload_match senders;
  while (take_option(left, parsed, given, senders)) continue;
  const auto equals = left.find('=');
  parsed.name = left.substr(0, equals);
  if (parsed.name.empty()) {
    throw std::invalid_argument{load::quoted(text) + " has no name; write NAME=EXPRESSION, such as quick=len<100"};
  }
  if (equals == std::string::npos) {
    parsed.match = senders;
    return parsed;
  }
  const std::string expression = left.substr(equals + 1);
  if (expression.find_first_not_of(' ') == std::string::npos) {
    throw std::invalid_argument{load::quoted(text) +
                                " has no expression after \"=\"; write one, or the name alone for the last lane"};
  }
  parsed.match = match_of(parsed.name, expression);
  if (!senders.takes_all()) parsed.match = parsed.match.and_also(senders);
  return parsed;
}

void add_rest(std::vector<lane>& lanes) {
  if (lanes.size() == 1 && lanes[0].match.takes_all()) {
    throw std::invalid_argument{"--lane: " + load::quoted(lanes[0].name) +
                                " is the only lane, and takes every datagram; write NAME=EXPRESSION, such as "
                                "quick=len<100, or omit it"};
  }
  if (lanes.empty() || lanes.back().match.takes_all()) return;
  if (std::ranges::any_of(lanes, [](const lane& one) { return one.name == "rest"; })) {
    throw std::invalid_argument{
        "--lane: \"rest\" is what the lane of all other datagrams is called; choose another name, or write a last "
        "--lane with a name alone"};
  }
  lanes.push_back({.name = "rest"});
}

}  // namespace udppump::tools
