#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <system_error>
#include <vector>

namespace udppump {

/// Counted since the pump was made.
struct pump_stats {
  /// Datagrams given to the handler, and their payload's bytes.
  std::uint64_t received = 0, bytes = 0;
  /// Datagrams that were longer than receive_limit; datagrams whose control data was cut.
  std::uint64_t truncated = 0, control_truncated = 0;
  /// Taken from the kernel with others (receive_offload, pump_options::batch_limit), then not handled because the
  /// handler called stop(), or, with receive_offload, threw without on_exception.
  std::uint64_t discarded = 0;
  /// Datagrams dropped before the handler: for their source (pump_options::ignore_from); because their sender is in
  /// quarantine (pool_options::quarantine).
  std::uint64_t ignored = 0, quarantined = 0;
  /// Datagrams dropped before the handler because they had waited longer than pump_options::max_age.
  std::uint64_t expired = 0;
  /// Datagrams dropped before the handler because their client had sent too many (pump_options::client_limit,
  /// client_share).
  std::uint64_t limited = 0;
  struct error_count {
    std::error_code code;
    std::uint64_t count;
  };
  /// Receive and ICMP errors, counted by code.
  std::vector<error_count> errors;
  /// Sends that failed, over the whole socket in this process.
  std::uint64_t send_errors = 0;
  /// Datagrams the kernel dropped at this socket since the pump was made: the receive buffer was full, or the
  /// checksum bad (SO_MEMINFO, Linux 4.12). The count is the socket's: every worker on it sees the same.
  std::uint64_t kernel_drops = 0;
  /// How often the waiter woke the pump; how often there was nothing to receive then; how often the budget ended a
  /// dispatch.
  std::uint64_t wakeups = 0, empty_wakeups = 0, budget_yields = 0;
  /// How often the pump left its socket to another worker (pump_options::stand_by).
  std::uint64_t stood_by = 0;
  /// Time spent in the handler: the time of a dispatch without the cost of receiving, which is measured now and then.
  /// Exact to a fraction of a microsecond a datagram.
  std::chrono::nanoseconds handler_time{0};
  /// How many tickets (datagram::hold()) are out now.
  std::size_t in_flight = 0;
};

}  // namespace udppump
