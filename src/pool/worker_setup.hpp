#pragma once

#include <sys/types.h>

#include <cstddef>

#include "udppump/worker_pool.hpp"

namespace udppump::detail {

/// Takes in the parent what requires privileges that a worker will not have any more: a better nice level, higher hard
/// limits. Throws std::system_error.
void reserve_for_workers(const pool_options& options);

/// In a new worker: its nice level, cores and limits, of the process or, if `thread`, of the calling thread. Throws
/// std::system_error.
void set_up_worker(const pool_options& options, std::size_t number, bool thread);

/// In a new process that leads a group: it is killed when its parent ends, and all of its group with it, whoever they
/// have become by then. `lifeline` is the end for reading of a pipe whose other end the parent alone has, and into
/// which nobody writes; it stays open. False if the parent has ended already.
bool end_with_parent(pid_t parent, int lifeline) noexcept;

}  // namespace udppump::detail
