#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "udppump/pool_status.hpp"

namespace udppump::detail {

/// A process or thread as /proc/PID/stat has it (proc(5)).
struct process_stat {
  std::string name = {};
  char state = '?';
  pid_t session = 0;
  // Of the processors: its own, and those of children that have ended and were waited for, with theirs. Of a thread,
  // the second are its process's.
  std::uint64_t own_ticks = 0, children_ticks = 0;
  std::uint64_t started_at = 0;  // ticks after the boot
  std::uint64_t major_faults = 0;
  bool is_alive() const noexcept { return state != 'Z' && state != 'X' && state != 'x'; }
};

/// What such a file says; nothing if it is none.
UDPPUMP_EXPORT std::optional<process_stat> read_stat(const std::string& text);
/// `folder` is /proc/PID or /proc/PID/task/TID. Nothing if there is none, or it may not be read.
std::optional<process_stat> stat_in(const std::string& folder);

/// Of one process, without its children; nothing if it may not be looked at.
std::optional<process_usage> usage_of(pid_t process);
/// Of one of its threads.
std::optional<process_usage> usage_of_thread(pid_t process, pid_t thread);
/// Of all processes in each session, and their children that have ended, by its leader; a session of which nothing is
/// seen is left out.
std::map<pid_t, process_usage> usage_by_session();

/// The uid that a process has, by the owner of its folder in /proc; -1 if that is not known.
uid_t user_of(pid_t process) noexcept;

}  // namespace udppump::detail
