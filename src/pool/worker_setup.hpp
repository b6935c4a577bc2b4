#pragma once

#include <sys/types.h>

#include <cstddef>

#include "udppump/worker_pool.hpp"

namespace udppump::detail {

/// What takes privileges that a worker will not have any more (a better nice level, higher hard limits) is taken by the
/// parent beforehand. Throws std::system_error.
void reserve_for_workers(const pool_options& options);

/// In a new worker: its nice level, cores and limits, of the process or, where `thread`, of the calling thread. Throws
/// std::system_error.
void set_up_worker(const pool_options& options, std::size_t number, bool thread);

/// In a new process: it ends with its parent. False where the parent has ended already.
bool end_with(pid_t parent) noexcept;

}  // namespace udppump::detail
