#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>

namespace udppump::detail {

/// A worker's process with all that it has started: a program may be a shell that waits for the one which serves. Who
/// has lost his parent is among them if he is in the worker's session, and a child of this process by now. These look
/// at 256 of them at most.

struct memory_use {
  std::uint64_t bytes = 0;  // of those whose memory is known
  std::size_t processes = 0;
};
/// Of each process its proportional share (Pss in /proc/PID/smaps_rollup, proc(5)), which is for those who may trace
/// it; for others the pages that it does not share, as far as the kernel counts these (/proc/PID/statm). The kernel
/// goes through all pages for a Pss, so it is asked only if the resident pages of all are more than `limit`, and not
/// for more than a few milliseconds: then the others' own pages count. Below `limit`, it is some number below it.
memory_use memory_of_worker(pid_t worker, std::uint64_t limit);

/// What a worker does, in words that go on a sentence, by State in /proc/PID/status: of the one that is stopped, if one
/// is, else of the one that runs or is held up, else that all sleep.
std::string doing_of_worker(pid_t worker);

}  // namespace udppump::detail
