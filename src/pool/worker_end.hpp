#pragma once

#include <string>

#include "pump/worker_page.hpp"
#include "udppump/worker_pool.hpp"

namespace udppump::detail {

/// Exit statuses of workers; of those that did not get as far as their work, above what programs use, as env(1) has it.
constexpr int status_thrown = static_cast<int>(pool_result::failed);
constexpr int status_no_setup = static_cast<int>(pool_result::not_set_up);
constexpr int status_not_executable = static_cast<int>(pool_result::not_executable);
constexpr int status_not_found = static_cast<int>(pool_result::not_found);

/// How a worker ended.
struct worker_end {
  bool by_signal = false;
  /// The signal's number, or the exit status.
  int code = 0;
  bool left_core = false;
  /// What it said last; may be empty.
  std::string words = {};
  /// It could not even be made what it was to be: another try will not help.
  bool hopeless = false;

  /// For a log: "exited with status 1", "was killed by signal 9 (Killed)".
  std::string how() const;
};

/// In a worker: puts `text`, cut if it is long, where the parent will find it.
void leave_last_words(worker_page& page, const std::string& text) noexcept;
/// What a worker left there; empty if nothing.
std::string last_words(const worker_page& page);

}  // namespace udppump::detail
