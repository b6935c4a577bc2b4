#pragma once

#include <sys/types.h>

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "doctor/file_tree.hpp"

namespace udppump::doctor {

constexpr std::uint64_t unlimited = std::numeric_limits<std::uint64_t>::max();

/// A process, as /proc tells of it (proc(5)). What may not be read is absent.
struct process_facts {
  pid_t pid = 0;
  std::string name = {};
  /// R, S, D (waits in the kernel, uninterruptibly), T (stopped), t (traced), Z (ended, and not waited for).
  char state = '?';
  std::uint64_t major_faults = 0;
  std::uint64_t swapped = 0;  // bytes
  /// Soft limits.
  std::optional<std::uint64_t> most_files = {}, core_size = {};
  std::optional<std::uint64_t> open_files = {};
  /// The inodes of its sockets.
  std::optional<std::vector<ino_t>> sockets = {};
  /// Its program's file; empty if that may not be read.
  std::string program = {};
  bool program_is_gone = false;
  /// What it was started with.
  std::vector<std::string> arguments = {};
  /// Processors that it may run on.
  std::size_t processors = 0;
  /// "net:[INODE]"; empty if that may not be read.
  std::string network = {};
};

/// Nothing if there is none.
std::optional<process_facts> read_process(const file_tree& files, pid_t pid);

/// The control groups that a process is in: its own and those above. What no group says is absent.
struct group_facts {
  /// Of the group that was stopped most: times that all its processes had to wait, as its share of the processors was
  /// used up (cpu.stat), and what it may have in cores.
  std::uint64_t throttled = 0;
  std::optional<double> cores = {};
  /// Of the group that is nearest to its limit.
  std::optional<std::uint64_t> memory = {}, most_memory = {};
  std::uint64_t memory_kills = 0;
  /// The unit of systemd that it is part of, such as "dns.service"; empty if none.
  std::string unit = {};
};

group_facts read_groups(const file_tree& files, pid_t pid);

}  // namespace udppump::doctor
