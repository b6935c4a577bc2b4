#include "pump/source_check.hpp"

#include <algorithm>

namespace udppump {

source_filter source_filter::against_loops() {
  return {.ports = {0, 7, 11, 13, 17, 19, 37}, .own_port = true, .own_address = true};
}

namespace detail {

source_check::source_check(const source_filter& filter, const datagram_socket& socket)
    : ports_{filter.ports}, own_{filter.own_address ? socket.local().unmapped() : address{}}, is_on_{!filter.empty()} {
  if (const std::uint16_t own = socket.local().port(); filter.own_port && own != 0) ports_.push_back(own);
  std::sort(ports_.begin(), ports_.end());
}

bool source_check::is_unwanted(const datagram& shown) const noexcept {
  const bool has_port = shown.from.is_ipv4() || shown.from.is_ipv6();
  if (has_port && std::binary_search(ports_.begin(), ports_.end(), shown.from.port())) return true;
  // By ports first: whole addresses take longer to compare.
  if (own_.is_none() || shown.from.is_none() || shown.from.port() != own_.port()) return false;
  return shown.from == own_ || shown.from == shown.to;
}

}  // namespace detail

}  // namespace udppump
