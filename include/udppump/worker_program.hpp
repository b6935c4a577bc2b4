#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "udppump/export.hpp"

namespace udppump {

/// A program that a pool runs copies of. It is looked up, and checked, before anything is bound.
class UDPPUMP_EXPORT worker_program {
 public:
  /// `command` is the program, looked up in PATH if it has no slash, and its arguments. Throws std::system_error:
  /// ENOENT if it is not there, EACCES if it may not be executed, EINVAL if no program is given.
  explicit worker_program(std::vector<std::string> command);

  const std::string& path() const noexcept { return path_; }
  const std::vector<std::string>& arguments() const noexcept { return arguments_; }

 private:
  std::string path_;
  std::vector<std::string> arguments_;
};

/// Whom a stop tells to end, of a program and the processes that it has started.
enum class kill_mode : std::uint8_t {
  /// All in its process group, so that a shell that wraps a server does not leave it behind.
  group,
  /// The program alone: for servers that fork for each request, whose children finish what they are at.
  process,
};

/// By what a program's copy counts as serving.
enum class readiness : std::uint8_t {
  /// It has lived for program_options::ready_after.
  time,
  /// It says so: "READY=1" to the datagram socket in its variable NOTIFY_SOCKET (sd_notify(3)), by itself or by a
  /// process in its session. One that has not said it after pool_options::start_timeout is killed.
  notification,
};

/// Whom a datagram wakes of programs that wait for it in an epoll of their own (epoll(7)), as event loops do.
enum class exclusive_waits : std::uint8_t {
  /// One if that works here; the log says whether.
  automatic,
  /// One; if that does not work here, no worker is started.
  on,
  /// All that are idle.
  off,
};

/// Where what a program writes to its descriptor 2 goes.
enum class program_stderr : std::uint8_t {
  /// By a pipe to the parent, and line by line into its log, with the worker's number: events "worker-says". The last
  /// lines of one that dies stand in the event of its death. The parent reads as fast as programs write, and loses what
  /// its log cannot take; so no program waits for whoever reads that log, but if the parent itself is stopped
  /// (SIGSTOP), or is kept from running: then a program that writes 64 KiB more waits.
  log,
  /// To the descriptor 2 of the parent. Nothing is known of it.
  inherit,
};

/// How a pool runs programs.
struct program_options {
  /// A copy that has lived this long counts as serving. A reload waits for that before it stops the old copy.
  std::chrono::milliseconds ready_after = std::chrono::milliseconds{200};
  readiness ready = readiness::time;
  /// A copy that hangs for this time is ended as pool_options::handler_timeout has it. One that has said "WATCHDOG=1"
  /// to its NOTIFY_SOCKET hangs if it does not say so again; it finds the time in WATCHDOG_USEC, in microseconds
  /// (sd_watchdog_enabled(3)). One that never says so hangs if, in all this time, a datagram waited in a socket that it
  /// serves, and no copy took anything from any socket that this one serves: so give more than the longest that a
  /// request may take. One copy that is stuck while others serve cannot be told from one that is idle. To know which
  /// datagram is the oldest, the kernel notes when they come, as with max_wait. 0: nobody is looked at.
  std::chrono::milliseconds hang_timeout{0};
  /// Either way, a worker has ended when no process of its group is left. What is left after pool_options::stop_timeout
  /// is killed.
  kill_mode kill = kill_mode::group;
  program_stderr error_output = program_stderr::log;
  /// If more comes than the programs can serve, no datagram should wait in the sockets' queues much longer than this.
  /// Give half of the time that clients wait, as in a full queue all datagrams wait this long. The parent makes each
  /// receive buffer (SO_RCVBUF) as large as what is served in that time, but never larger than it was, or than the
  /// kernel's default if that is more; the kernel drops what does not fit. To know how long datagrams wait, it has the
  /// kernel note when they come (SO_TIMESTAMP), which programs that ask for control data find there, and looks at the
  /// oldest one without taking it (MSG_PEEK). 0: buffers stay as they are.
  std::chrono::milliseconds max_wait{0};
  /// A library is preloaded into the programs (LD_PRELOAD), which has their epoll wait exclusively for the sockets that
  /// were passed, and for nothing else. It cannot be preloaded into programs that are linked statically, gain
  /// privileges as they start, or have another C library than glibc, and does nothing for those that call the kernel
  /// themselves, as Go does. docs/workers.md has more.
  exclusive_waits exclusive = exclusive_waits::automatic;
  /// The path of that library, in a folder that nobody else may write to. Empty: where it is installed.
  std::string exclusive_library = {};
};

}  // namespace udppump
