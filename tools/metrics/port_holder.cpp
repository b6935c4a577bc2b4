#include "metrics/port_holder.hpp"

#include <algorithm>
#include <fstream>
#include <span>
#include <sstream>
#include <vector>

#include "socket/address_owner.hpp"
#include "socket/port_table.hpp"

namespace udppump::metrics {

namespace {

constexpr std::size_t most_named = 3;

/// Sockets of TCP that listen. /proc does not tell which of those that are bound to all of IPv6 take IPv4 as well.
std::vector<detail::listed_socket> listeners() {
  std::vector<detail::listed_socket> found;
  for (const char* const table : {"/proc/self/net/tcp", "/proc/self/net/tcp6"}) {
    std::ifstream lines{table};
    std::string line;
    std::getline(lines, line);
    while (std::getline(lines, line)) {
      // "sl local_address rem_address st tx_queue:rx_queue tr:when retrnsmt uid timeout inode ..."
      std::istringstream words{line};
      std::string local, state, skipped;
      detail::listed_socket one;
      words >> skipped >> local >> skipped >> state >> skipped >> skipped >> skipped >> one.user >> skipped >>
          one.inode;
      one.local = detail::address_in_table(local);
      if (words && state == "0A" && !one.local.is_none()) found.push_back(one);  // TCP_LISTEN (net/tcp_states.h)
    }
  }
  return found;
}

}  // namespace

std::string port_holder(const address& where) {
  const auto holders = detail::in_the_way(where, listeners());
  const auto named = std::min(holders.size(), most_named);
  std::string all;
  for (const std::string& each : detail::names_of(std::span{holders}.first(named))) {
    all += (all.empty() ? "" : " or ") + each;
  }
  if (holders.size() > named) all += " or " + std::to_string(holders.size() - named) + " more";
  return all;
}

}  // namespace udppump::metrics
