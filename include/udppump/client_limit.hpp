#pragma once

#include <chrono>
#include <cstddef>
#include <memory>

#include "udppump/address.hpp"
#include "udppump/export.hpp"

namespace udppump {

namespace detail {
class client_table;
class pump_core;
}  // namespace detail

/// How much each client may ask for. A client is a source address without its port, cut to a prefix; an IPv4-mapped
/// address (::ffff:192.0.2.1) is the IPv4 one, and a link-local one counts whole.
struct client_rate {
  /// Datagrams a second, 0.001 to 1,000,000.
  double rate = 0;
  /// How many datagrams a client that was silent may send at once, 1 to 1,000,000, and no more than `rate` gives in a
  /// day. 0: those of a second, 1 at least.
  std::size_t burst = 0;
  /// Bits of the address that tell clients apart, 1 to 32 and 1 to 128. Who has an IPv6 network has at least 2^64
  /// addresses in it to send from, often a /56. DNS servers that limit their answers take 24 for IPv4, since a forged
  /// source can be any host of the network that is to be flooded.
  unsigned ipv4_prefix = 32, ipv6_prefix = 56;
};

/// A limit for each client, and what each has used of it: for pump_options::client_limit and
/// pool_options::client_limit.
///
/// Copies share what they know, and so do processes that are forked after it was made: make it before them, and all
/// workers hold each client to one limit together. It takes 260 KiB, however many clients there are, and no lock: a
/// worker that is killed leaves nothing behind.
///
/// Exact for 32,768 clients at most that have recently sent; one that has been silent for burst / rate seconds needs no
/// room. If more do, as where sources are forged, the clients that have used least of their limit are forgotten first,
/// and begin with a whole burst again. So the table never makes a client lose for others' sake, but for one chance: of
/// two clients, one in four thousand million pairs counts as one. The pairs cannot be predicted (a keyed hash).
/// Several workers that meet a new client in the same moment may give it more than one burst. Times are in units of 64
/// ns, and what a datagram costs is rounded to one: at a rate of 100,000 a client gets up to 0.3% more or less than
/// asked for, and at the highest rate 2.4% less.
class UDPPUMP_EXPORT client_limit {
 public:
  /// No limit.
  client_limit() noexcept = default;
  /// Throws std::invalid_argument if the rate or a prefix is out of its range, std::system_error if there is no memory.
  client_limit(const client_rate& rule);  // NOLINT(google-explicit-constructor): {.client_limit = client_rate{...}}

  /// Whether there is a limit.
  explicit operator bool() const noexcept { return table_ != nullptr; }

  /// Whether the client at `from` may have a datagram served at `now`; if so, it is counted as served. For what came
  /// joined, `count` of them: all are admitted if one may be, and all count. Always true for a source that is no
  /// Internet address (Unix sockets), and where there is no limit. Any thread, any process.
  bool admits(const address& from, std::chrono::steady_clock::time_point now, std::size_t count = 1) const noexcept;

 private:
  friend class detail::pump_core;
  std::shared_ptr<detail::client_table> table_;
};

}  // namespace udppump
