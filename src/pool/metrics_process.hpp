#pragma once

#include <sys/types.h>

#include <chrono>
#include <csignal>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "pool/pool_log.hpp"
#include "udppump/descriptor.hpp"

namespace udppump::detail {

/// The process that tells Prometheus of the pool: `udppump metrics` (udppump-metrics(1)), with the pool's memory, which
/// it can only read, and none of the pool's sockets. If it ends it is started again, after a pause that is doubled up
/// to a minute while it lives shorter than that. It ends with this process, however that ends. One thread.
///
/// What it writes comes by a pipe, line by line: where it listens, which is told then and not before, and what is
/// wrong. None of it is taken for more than text, as whoever sends it requests may have taken it over.
class metrics_process {
 public:
  using clock = std::chrono::steady_clock;

  struct wanted {
    /// Where it listens.
    std::string where;
    /// Its file.
    std::string program;
    /// Of the pool, opened for reading.
    descriptor memory;
    /// Of those that it begins with.
    sigset_t signal_mask;
  };

  /// `log` outlives it.
  metrics_process(wanted how, const pool_log& log);
  /// It is killed.
  ~metrics_process();
  metrics_process(const metrics_process&) = delete;
  metrics_process& operator=(const metrics_process&) = delete;

  /// Starts it if that is due, tells the log what it says, and notices its end. None of it waits.
  void look(clock::time_point now);
  /// Readable if it says something; -1: it cannot. No worker should have it.
  int fd() const noexcept { return says_.fd(); }
  /// When to look, if no child ends before.
  clock::time_point next() const noexcept { return start_at_; }
  /// 0: none is there.
  pid_t pid() const noexcept { return pid_; }

 private:
  void start(clock::time_point now);
  [[noreturn]] void become_it(pid_t parent, const std::vector<char*>& arguments, int says) noexcept;
  void plan_start(const std::string& why, pool_log::fields more, clock::time_point now);
  void hear();
  void take(std::string_view text);
  void tell(std::string_view line);
  void hear_no_more();

  const wanted how_;
  const pool_log& log_;
  pid_t pid_ = 0;
  descriptor says_;
  std::string line_;  // its beginning
  std::size_t heard_ = 0;
  bool has_listened_ = false;
  clock::time_point started_ = {};
  clock::time_point start_at_ = {};  // at once
  clock::duration pause_;
};

}  // namespace udppump::detail
