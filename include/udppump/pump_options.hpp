#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <string_view>
#include <system_error>

#include "udppump/address.hpp"
#include "udppump/client_limit.hpp"
#include "udppump/client_share.hpp"
#include "udppump/source_filter.hpp"

namespace udppump {

struct datagram;

/// What went wrong while receiving; goes to pump_options::on_error, never to the handler.
struct receive_error {
  enum class kind {
    /// The receiving call failed; the pump goes on.
    receive,
    /// An ICMP error (socket_options::icmp_errors); `peer` is the address that the failed datagram was sent to. Told
    /// once, whether a receive or a send met it too.
    icmp,
    /// The control data of a datagram did not fit (MSG_CTRUNC); its address or time may be missing. The datagram itself
    /// is delivered.
    control_truncated,
    /// An interface that the socket is bound to (socket_options::device), or has joined a group on, was deleted, or was
    /// made again. `code` is ENODEV if it is gone: the socket is deaf there. No error: it is back, and the socket is
    /// bound to it, or in the group, again. Any other: mending it was refused. `detail` says it in words.
    interface,
    /// The pump cannot go on and calls nothing any more: the descriptor was closed under it, the socket was shut down,
    /// or the pump was made before a fork.
    fatal,
  };
  kind what;
  std::error_code code;
  address peer;
  /// Cause and cure in a sentence, for `interface`; else empty. Valid during the call.
  std::string_view detail = {};
};

/// What a pump's datagrams are to its group. It decides which pumps stop first when the group as a whole is asked to
/// stop: by pump_group::request_stop(), or because the worker whose group it is was told to.
enum class pump_role : std::uint8_t {
  /// Work: each of these pumps has its last turn at once, and stops.
  work,
  /// Answers to what handlers of the others have asked somewhere else, a database say. These pumps go on until those of
  /// work have stopped and all tickets (datagram::hold()) of theirs are given back. In a worker that ends with
  /// pool_options::stop_timeout at the latest; so give a ticket back as well when the answer is too late.
  answers,
};

struct pump_options {
  pump_role role = pump_role::work;
  /// Largest payload delivered whole, in bytes; longer ones are cut and say so. 65,535 is more than UDP can carry.
  std::size_t receive_limit = 65'535;
  /// dispatch() returns to the loop after this many datagrams, at least 1...
  std::size_t budget_datagrams = 64;
  /// ...or after this much time, whatever comes first; checked after each datagram, or after each fourth as long as the
  /// handler takes less than ten microseconds. In a group these two end the pump's turn.
  std::chrono::nanoseconds budget_time = std::chrono::milliseconds{1};
  /// Standing by: while recent handlers took less than about ten microseconds, and another worker on the same socket
  /// has just emptied the queue and waits, this pump leaves the socket to that worker, as it would be awake too late
  /// anyway. After this time it looks at the socket by itself: a datagram waits no longer than this if the other
  /// worker's handler is suddenly long. Workers know of each other if they are threads, or were forked after the socket
  /// was made. If not, or if this is 0, a pump always waits for its socket. At most a second.
  std::chrono::microseconds stand_by = std::chrono::milliseconds{2};
  /// How many datagrams one system call may take from the kernel, 1 to 16. A pump takes more than one only if several
  /// wait and recent handlers took less than about ten microseconds, and then only as many as it handles in that time,
  /// before another worker would be awake. Never with max_in_flight, receive_offload, or a pool that redelivers. If a
  /// handler calls stop() or ends the pump, the rest is lost and counted in pump_stats::discarded; a process that is
  /// killed loses the rest too. 1: always one at a time.
  std::size_t batch_limit = 16;
  /// While this many tickets (datagram::hold()) are out, the pump takes no datagram, and leaves them to other workers.
  /// 0: no limit.
  std::size_t max_in_flight = 0;
  /// Senders whose datagrams are dropped before the handler sees them, and counted in pump_stats::ignored. By
  /// default none: a pump does not know whether its handler answers, and a program may send to its own socket. A
  /// handler that answers everybody needs source_filter::against_loops().
  source_filter ignore_from = {};
  /// A datagram that has waited longer than this in the socket's queue is dropped when it is taken, before the handler
  /// sees it, and counted in pump_stats::expired. When more comes than can be served, the queue fills up, and without
  /// this each datagram is served after its sender has given up. Three quarters of the time that clients wait are a
  /// good choice: the rest is for the work and the way back. 0: none is dropped.
  ///
  /// The kernel then notes when each datagram comes (SO_TIMESTAMP). A pump asks for that time only while a datagram may
  /// have waited half as long as this, so that it costs nothing where nothing waits; datagram::receive_time is still
  /// filled in only with socket_options::receive_time. A step of the wall clock drops nothing that is fresh, and keeps
  /// nothing that is old. Time during which the machine sleeps does not count. What is given to a second worker because
  /// the first one died of it (pool_options::redeliver) is served however old it is.
  std::chrono::nanoseconds max_age{0};
  /// How much each client may ask for: client_rate{.rate = 100}. What is over it is dropped before the handler sees it,
  /// and counted in pump_stats::limited. For several workers make one client_limit before they start. A client's
  /// datagrams are counted when they are taken, after ignore_from and a pool's quarantine and before max_age: what is
  /// over the limit gets no "busy" either, and what a pool redelivers is not counted again. A source address can be
  /// forged: who does so can use up the limit of another. Unix sockets have no such clients, and no limit.
  udppump::client_limit client_limit = {};
  /// Shares for all clients of the socket while its queue is behind: client_share::equal(). Then what is over a
  /// client's share is dropped as what is over its limit, and counted with it. For several workers make one before they
  /// start. It is asked after client_limit and max_age, which may be set as well.
  udppump::client_share client_share = {};
  /// Called on the pump's thread. Without it, errors are only counted in stats(), and a worker_pool logs those of its
  /// workers (pool_options::log).
  std::function<void(const receive_error&)> on_error = {};
  /// Called on the pump's thread with each datagram that max_age drops, and with how long it has waited: to answer
  /// "busy", for example, where that costs less than to serve it. What it throws goes to on_exception.
  std::function<void(datagram&, std::chrono::nanoseconds age)> on_expired = {};
  /// Called on the pump's thread with each datagram that client_limit or client_share drops: to answer every second one
  /// with "ask by TCP", for example, as DNS servers do. What it throws goes to on_exception. While the queue is behind,
  /// this takes time from what is served.
  std::function<void(datagram&)> on_limited = {};
  /// Called with what a handler (or on_error) throws; the next datagram is then served. Without it, the exception
  /// leaves dispatch() or run(), which may be called again and go on with the next datagram.
  std::function<void(std::exception_ptr)> on_exception = {};
};

}  // namespace udppump
