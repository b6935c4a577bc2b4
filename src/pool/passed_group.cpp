#include "pool/passed_group.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "pool/is_blank.hpp"
#include "socket/socket_name.hpp"
#include "sys/failure.hpp"

namespace udppump::detail {

namespace {

std::string names_of(std::span<const lane> lanes) {
  std::string all;
  for (const lane& one : lanes) all += (all.empty() ? "" : ", ") + one.name;
  return all.empty() ? "none" : all;
}

std::string lanes_of(const passed_group& group) {
  std::string all;
  for (const passed_socket& one : group.members) all += (all.empty() ? "" : ", ") + one.as.lane;
  return all;
}

}  // namespace

/// A name has no colon, as LISTEN_FDNAMES separates by it, and no '[' or '/': these begin addresses.
wanted_address wanted_address::parse(const std::string& text) {
  const auto at = text.find('=');
  if (at == std::string::npos || text.find_first_of(":[/ ") < at) {
    return {default_socket_name, address::parse(text), text.starts_with(':')};
  }
  const std::string name = text.substr(0, at);
  // A pool that takes over hears "@" and "+" as marks (pool/take_over_messages.cpp).
  if (name.empty() || std::any_of(name.begin(), name.end(), is_blank) || name[0] == '@' || name[0] == '+') {
    throw std::invalid_argument{'"' + text +
                                "\": the name before \"=\" must not be empty, begin with @ or +, or have a space"};
  }
  return {name, address::parse(text.substr(at + 1)), text[at + 1] == ':'};
}

std::vector<passed_group> passed_group::of(std::vector<passed_socket> passed) {
  std::vector<passed_group> groups;
  for (passed_socket& one : passed) {
    address local;
    static_cast<void>(local_name(one.socket.fd(), local));
    const auto is_same = [&](const passed_group& group) {
      return group.has_lanes() && !one.as.lane.empty() && group.local == local;
    };
    auto at = std::ranges::find_if(groups, is_same);
    if (at == groups.end()) at = groups.insert(groups.end(), passed_group{{}, local});
    at->members.push_back(std::move(one));
  }
  return groups;
}

void check_lanes_of(const std::vector<passed_group>& passed, std::span<const lane> lanes) {
  for (const passed_group& group : passed) {
    if (!group.has_lanes()) continue;
    const auto is_same = [](const passed_socket& one, const lane& other) { return one.as.lane == other.name; };
    if (std::ranges::equal(group.members, lanes, is_same)) continue;
    fail(EBUSY, "taking the sockets over: " + group.local.to_string() + " has the lanes " + lanes_of(group) +
                    ", and this start asks for " + names_of(lanes) +
                    "; lanes cannot change while they are served: give the same, or stop the pool that has them, and "
                    "start this one then");
  }
}

std::vector<std::optional<std::size_t>> match(const std::vector<wanted_address>& wanted,
                                              const std::vector<passed_group>& passed, bool of_a_pool) {
  std::vector<std::optional<std::size_t>> given(wanted.size());
  std::vector<bool> is_given(passed.size());
  const auto give = [&](auto fits) {
    for (std::size_t at = 0; at < wanted.size(); ++at) {
      for (std::size_t from = 0; from < passed.size() && !given[at]; ++from) {
        if (is_given[from] || !fits(wanted[at], from)) continue;
        given[at] = from;
        is_given[from] = true;
      }
    }
  };
  give([&](const wanted_address& one, std::size_t from) { return one.where == passed[from].local; });
  if (!of_a_pool) return given;
  const auto differs_by_port = [&](const wanted_address& one, std::size_t from) {
    return one.where.port() == 0 && one.where == passed[from].local.with_port(0);
  };
  give([&](const wanted_address& one, std::size_t from) {
    return differs_by_port(one, from) && one.name == passed[from].as().name;
  });
  give(differs_by_port);
  return given;
}

}  // namespace udppump::detail
