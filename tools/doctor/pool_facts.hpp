#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "doctor/file_tree.hpp"
#include "doctor/finding.hpp"
#include "doctor/process_facts.hpp"
#include "doctor/unit_facts.hpp"
#include "udppump/pool_status.hpp"

namespace udppump::doctor {

struct worker_facts {
  std::size_t number = 0;
  pid_t pid = 0;
  worker_state state = worker_state::starting;
  std::chrono::nanoseconds uptime{0};
  /// How long it has been in its handler.
  std::optional<std::chrono::nanoseconds> handling_for = {};
  /// Datagrams that it has taken; not known of programs.
  std::optional<std::uint64_t> taken = {};
  /// Why it does not wait as it should.
  std::string waiter_fallback = {};
  /// As the kernel tells of it; nothing if it has ended, or is a thread.
  std::optional<process_facts> process = {};
};

struct socket_facts {
  /// "127.0.0.1:53", with its lane, if it has one.
  std::string name = {};
  /// What waits, and what may, as the kernel counts it.
  std::optional<std::uint64_t> queued = {}, room = {};
  /// Receive buffers in bytes of payload.
  std::optional<std::uint64_t> asked = {}, granted = {};
  std::optional<std::uint64_t> drops = {};
  std::optional<std::chrono::nanoseconds> oldest_waits = {};
  /// Who else has a socket there: `"NAME (pid N)" of user U (inode I)`.
  std::vector<std::string> strangers = {};
};

struct pool_facts {
  pid_t pid = 0;
  std::string name = {};
  std::size_t workers_wanted = 0;
  std::vector<worker_facts> workers = {};
  std::vector<socket_facts> sockets = {};
  std::uint64_t restarts = 0, hangs = 0;
  /// Of all workers; not known of programs.
  std::optional<std::uint64_t> expired = {}, limited = {};
  std::optional<std::uint64_t> poisoned = {};
  std::optional<process_facts> parent = {};
  group_facts group = {};
  std::optional<unit_facts> unit = {};
  /// What --pid-file names, if anything, and what is in it: absent if it may not be read.
  std::string pid_file = {};
  std::optional<std::string> pid_file_content = {};
  std::vector<unseen> hidden = {};
};

/// What the pool tells, and the kernel and systemd tell of it.
pool_facts read_pool(const file_tree& files, const pool_status& status);

/// The value of an option that udppump was started with, the last one before "--"; nothing if it is not there.
std::optional<std::string> option_value(const std::vector<std::string>& arguments, const std::string& option);

}  // namespace udppump::doctor
