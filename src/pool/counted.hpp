#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace udppump::detail {

/// "datagram", "datagrams".
inline std::string so_many(std::uint64_t count, std::string_view what) {
  return std::string{what} + (count == 1 ? "" : "s");
}

/// For people: "1 datagram", "2 datagrams".
inline std::string counted(std::uint64_t count, std::string_view what) {
  return std::to_string(count) + ' ' + so_many(count, what);
}

}  // namespace udppump::detail
