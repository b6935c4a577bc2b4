#pragma once

#include <cstdint>
#include <vector>

#include "udppump/datagram.hpp"
#include "udppump/source_filter.hpp"

namespace udppump::detail {

/// A source_filter as it is for one socket.
class source_check {
 public:
  source_check(const source_filter& filter, const datagram_socket& socket);

  /// Whether the datagram, of which only the addresses are looked at, is to be dropped.
  bool drops(const datagram& shown) const noexcept { return is_on_ && is_unwanted(shown); }

 private:
  bool is_unwanted(const datagram& shown) const noexcept;

  std::vector<std::uint16_t> ports_;  // in order
  const address own_;                 // none if it does not matter
  const bool is_on_;
};

}  // namespace udppump::detail
