#pragma once

#include <atomic>
#include <cstdint>
#include <stop_token>

#include "load/plan/request_plan.hpp"
#include "load/plan/request_template.hpp"
#include "load/run/answer_ledger.hpp"
#include "load/run/flow_sockets.hpp"
#include "load/run/handover_queue.hpp"
#include "load/run/histogram.hpp"

namespace udppump::load {

/// What the sender tells the receiver, in order.
struct sender_note {
  enum class kind : std::uint8_t { sent, unsent };
  kind what = kind::sent;
  sent_request request = {};
};

/// Whether the sender is a SCHED_FIFO thread, which everything else on its processor makes way for.
enum class realtime {
  off,
  /// On if that is allowed.
  automatic,
  /// An error if it may not be.
  on,
};

struct sender_options {
  /// Requests due before are sent, but their lag is not counted.
  nanoseconds warmup{0};
  /// See punctual_sleep.
  nanoseconds spin_limit = std::chrono::microseconds{60};
  realtime priority = realtime::off;
  /// A sender that is later than this gives up: it would only ever be later.
  nanoseconds longest_lag = std::chrono::seconds{2};
};

/// Sends the requests of a plan when they are due, whatever becomes of them: the open loop. It never waits for an
/// answer, nor for room: what the kernel does not take at once is `unsent`.
///
/// Each request is noted before it is sent, so that whoever reads its answer finds the note. A sender that is late
/// sends what is overdue at once, one after the other; the lag tells.
class paced_sender {
 public:
  /// All arguments must outlive it.
  paced_sender(const flow_sockets& flows, const request_template& requests, handover_queue<sender_note>& notes,
               const sender_options& options)
      : flows_{flows}, requests_{requests}, notes_{notes}, options_{options} {}

  /// Sends the plan, whose time 0 is `start` of monotonic_now(), on the calling thread. Returns early when asked to,
  /// and when it gives up. Throws std::system_error if it may not be a realtime thread.
  void send(request_plan plan, nanoseconds start, const std::stop_token& stop);

  /// Actual less intended time of sending, of requests due after the warm-up. After send().
  const histogram& lag() const noexcept { return lag_; }
  /// Whether it gave up; after send().
  bool gave_up() const noexcept { return gave_up_; }
  /// When the last request was sent, since the start; after send().
  nanoseconds last_sent() const noexcept { return last_sent_; }
  /// ICMP errors that the kernel reported when a request was to be sent. After send().
  std::uint64_t icmp_errors() const noexcept { return icmp_errors_; }
  /// The last error with which the kernel refused to send; 0 for none. After send().
  int last_error() const noexcept { return last_error_; }

 private:
  void tell(const sender_note& note, const std::stop_token& stop) const noexcept;
  bool deliver(std::uint32_t flow, bytes_view payload) noexcept;

  const flow_sockets& flows_;
  const request_template& requests_;
  handover_queue<sender_note>& notes_;
  sender_options options_;
  histogram lag_;
  bool gave_up_ = false;
  nanoseconds last_sent_{0};
  std::uint64_t icmp_errors_ = 0;
  int last_error_ = 0;
};

/// Whether an error of a socket tells of an ICMP message about a datagram sent before (icmp(7), udp(7)).
bool is_icmp_error(int error) noexcept;

}  // namespace udppump::load
