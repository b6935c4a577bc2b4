#include "exec_values.hpp"

#include <net/if.h>

#include <algorithm>
#include <stdexcept>

#include "command_line.hpp"
#include "load/plan/quantity.hpp"

namespace udppump::tools {

using std::chrono::milliseconds;

milliseconds parse_time(const std::string& text, milliseconds unit) {
  return std::chrono::ceil<milliseconds>(load::parse_duration_in(unit, text));
}

std::string parse_interface(const std::string& name) {
  if (::if_nametoindex(not_empty(name).c_str()) == 0) {
    throw std::invalid_argument{load::quoted(name) + " is no interface here; name one that `ip link` shows"};
  }
  return name;
}

multicast_membership parse_group(const std::string& text) {
  const auto refuse = [&] {
    throw std::invalid_argument{load::quoted(text) +
                                " is no multicast group, such as 239.255.255.250 or ff02::fb%eth0"};
  };
  const auto at = text.find('%');
  const std::string interface = at == std::string::npos ? "" : text.substr(at + 1);
  if (at != std::string::npos && interface.empty()) refuse();
  std::string host = text.substr(0, at);
  if (host.find(':') != std::string::npos && host.front() != '[') host = '[' + host + ']';
  const auto group = address::parse_numeric(host + ":0");
  if (!group || !group->is_multicast()) refuse();
  return {*group, interface.empty() ? interface : parse_interface(interface)};
}

std::size_t parse_memory(const std::string& text) {
  const std::uint64_t size = load::parse_size(text);
  if (size == 0)
    throw std::invalid_argument{load::quoted(text) + " is none; give more, or omit the option for no limit"};
  return static_cast<std::size_t>(size);
}

void parse_restart_delay(const std::string& text, restart_policy& restart) {
  const auto colon = text.find(':');
  restart.first_delay = parse_time(text.substr(0, colon), milliseconds{1});
  if (colon != std::string::npos) {
    restart.longest_delay = parse_time(text.substr(colon + 1), milliseconds{1});
    if (restart.longest_delay < restart.first_delay) {
      throw std::invalid_argument{load::quoted(text) +
                                  ": the longest delay is shorter than the first; give the shorter one first"};
    }
  }
  restart.longest_delay = std::max(restart.longest_delay, restart.first_delay);
}

std::vector<std::string> parse_groups(const std::string& text) {
  std::vector<std::string> groups;
  for (std::size_t at = 0; !text.empty() && at <= text.size();) {
    const auto end = std::min(text.find(',', at), text.size());
    groups.push_back(text.substr(at, end - at));
    if (groups.back().empty()) {
      throw std::invalid_argument{load::quoted(text) + " has an empty name in it; give \"\" for no group at all"};
    }
    at = end + 1;
  }
  return groups;
}

}  // namespace udppump::tools
