#pragma once

#include <string>

#include "udppump/address.hpp"
#include "udppump/export.hpp"

namespace udppump::detail {

/// What making a socket throws: each names the call, the address, the cause and what helps.
[[noreturn]] void fail_to_make(long error, const address& for_whom);
[[noreturn]] void fail_to_bind(long error, const address& local);
[[noreturn]] void fail_to_connect(long error, const address& peer, bool may_broadcast);

/// The path of a Unix address; empty for an abstract name and for every other address.
UDPPUMP_EXPORT std::string path_of(const address& a);  // exported for udppump::pool
/// Whether something else than a socket has this path. A link to a socket is none.
bool is_no_socket(const std::string& path);

}  // namespace udppump::detail
