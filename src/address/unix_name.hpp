#pragma once

#include <sys/un.h>

#include <cstddef>
#include <string_view>

#include "udppump/address.hpp"

namespace udppump::detail {

constexpr std::size_t unix_path_offset = offsetof(sockaddr_un, sun_path);
/// One byte of sun_path is the zero that ends a path or begins an abstract name (unix(7)).
constexpr std::size_t unix_limit = sizeof(sockaddr_un::sun_path) - 1;

enum class unix_kind : char { unnamed, path, abstract };

/// `bytes` is valid as long as the address it was taken of.
struct unix_name {
  unix_kind kind;
  std::string_view bytes;
};

/// Of a Unix address.
unix_name unix_name_of(const address& a) noexcept;

}  // namespace udppump::detail
