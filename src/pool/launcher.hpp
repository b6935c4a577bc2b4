#pragma once

#include <signal.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

#include "pool/board.hpp"
#include "pool/lane_plan.hpp"
#include "pool/pool_sockets.hpp"
#include "pool/running_worker.hpp"
#include "udppump/worker_pool.hpp"

namespace udppump::detail {

/// What a worker is started as.
struct assignment {
  std::size_t number;
  std::size_t page;
};

/// What every kind of worker needs of its pool; all outlive the launcher.
struct launch_context {
  const pool_options& options;
  board& shared;
  pool_sockets& sockets;
  lane_plan& lanes;
  /// The parent's own descriptors, which no worker should have.
  std::vector<int> parents_own = {};
  /// As it was before the parent blocked its signals.
  sigset_t signal_mask = {};
};

/// Starts workers of one kind.
class launcher {
 public:
  virtual ~launcher() = default;
  /// Throws std::system_error.
  virtual std::unique_ptr<running_worker> start(const assignment& what) = 0;
  /// Whether its workers keep their pages, and so say when they serve and what they do.
  virtual bool keeps_pages() const noexcept = 0;
};

using worker_body = std::function<void(worker&)>;

}  // namespace udppump::detail
