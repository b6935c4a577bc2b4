#pragma once

#include <cstdint>
#include <optional>

#include "udppump/address.hpp"
#include "udppump/client_share.hpp"

namespace udppump::detail {

/// The client that was asked about last, with its hash: what comes from one client comes in a row, above all where one
/// floods. Of one client_key, one thread.
struct last_client {
  std::uint64_t high = 0, low = 0, rest = 0;  // rest is never 0 for a client
  std::uint64_t hash = 0;
};

/// Tells clients apart: by a prefix of their address, and a hash with a random key, so that nobody can predict which
/// clients a table takes for one.
class client_key {
 public:
  /// Throws std::invalid_argument if a prefix is out of its range; `option` is what the error begins with. Throws
  /// std::system_error if there is no random key.
  client_key(const char* option, const client_prefixes& prefixes);

  /// Of the client that an address belongs to; nothing if it is none of the Internet. Clients of another `realm`, which
  /// is below 2^52, are others.
  std::optional<std::uint64_t> hash_of(const address& from, last_client& last, std::uint64_t realm = 0) const noexcept;

 private:
  const client_prefixes prefixes_;
  std::uint64_t key_[2] = {};
};

}  // namespace udppump::detail
