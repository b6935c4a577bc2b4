#pragma once

#include "pool/launcher.hpp"
#include "sys/wake_signal.hpp"

namespace udppump::detail {

/// Runs `body` as the worker with that page, on the calling thread, and says how it ended; for forks, threads and new
/// executions.
worker_end run_body(const launch_context& context, const assignment& what, const worker_body& body);

/// Makes what a body sees of its worker. `link` and the sockets outlive it.
class worker_maker {
 public:
  static worker make(std::shared_ptr<worker_link> link, pool_sockets& sockets, waiter_kind kind,
                     std::shared_ptr<wake_signal> signal);
};

}  // namespace udppump::detail
