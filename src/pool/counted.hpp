#pragma once

#include <cstdint>
#include <string>

namespace udppump::detail {

/// For a log: "1 datagram", "2 datagrams".
inline std::string counted(std::uint64_t count, const char* what) {
  return std::to_string(count) + ' ' + what + (count == 1 ? "" : "s");
}

}  // namespace udppump::detail
