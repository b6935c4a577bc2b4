#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pool/file_watch.hpp"
#include "pool/launcher.hpp"
#include "pool/pool_log.hpp"
#include "pool/redeliverer.hpp"
#include "pool/service_manager.hpp"
#include "pool/stranded.hpp"
#include "pool/take_over.hpp"
#include "pool/worker_signals.hpp"

namespace udppump::detail {

/// What a supervisor works with; all outlives it.
struct supervised {
  launch_context& context;
  launcher& start;
  const service_manager& service;
  const pool_log& log;
  take_over& takes_over;
  redeliverer* redelivers;  // null without redeliver
  /// Of workers that do not say themselves when they serve.
  std::chrono::milliseconds ready_after;
};

/// The parent at work: keeps as many workers as wanted alive, stops, reloads and hands over. One thread, in run().
class supervisor {
 public:
  explicit supervisor(const supervised& parts);

  /// Returns what the process should exit with. Throws std::system_error where the first workers cannot be started.
  int run();

 private:
  using clock = std::chrono::steady_clock;

  /// One worker that was started and has not been seen to end.
  struct member {
    std::size_t number, page;
    clock::time_point started;
    bool serving = false, stopping = false, killed = false;
    clock::time_point deadline = {};  // to serve, or to have stopped
    std::unique_ptr<running_worker> worker = {};
  };
  /// One of the workers there should be, by number.
  struct place {
    std::optional<clock::time_point> start_at = {};
    unsigned short_lives = 0, unserved_lives = 0;  // in a row
  };
  struct reloading {
    std::size_t next = 0;
    member* incoming = nullptr;
    clock::time_point began;
    bool again = false;
  };

  void go_round();
  member& start(std::size_t number);
  void wait();
  void take_signals();
  void note_serving();
  void reap();
  void bury(member& dead, const worker_end& end);
  void start_for_offers(std::size_t number);
  void plan_restart(const member& dead, const worker_end& end, const std::string& told);
  void restart();
  void enforce_deadlines();

  void begin_reload();
  void continue_reload();
  void end_reload(bool whole, const std::string& why);

  void begin_stop(const std::string& why, bool handed_over);
  void ask_to_stop(member& one);
  void end_with(int result) noexcept { result_ = result_ == 0 ? result : result_; }
  void heed_take_over();

  member* serving_as(std::size_t number) const noexcept;
  std::size_t serving_count() const noexcept;
  std::string status() const;
  clock::time_point next_event() const;

  const supervised parts_;
  const pool_options& options_;
  board& board_;
  const pool_log& log_;
  const blocked_signals signals_;
  descriptor signal_fd_;
  std::optional<file_watch> files_;
  std::optional<stranded_watch> stranded_;
  std::vector<place> places_;
  std::vector<std::unique_ptr<member>> members_;
  std::optional<reloading> reload_;
  bool signals_due_ = false, take_over_due_ = false, reap_due_ = false;
  bool stopping_ = false, handed_over_ = false, was_handed_over_ = false, was_whole_ = false;
  clock::time_point watchdog_at_ = clock::time_point::max();
  int result_ = 0;
};

}  // namespace udppump::detail
