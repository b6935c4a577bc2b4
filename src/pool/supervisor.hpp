#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pool/backlog.hpp"
#include "pool/crew.hpp"
#include "pool/error_log.hpp"
#include "pool/file_watch.hpp"
#include "pool/lane_balance.hpp"
#include "pool/launcher.hpp"
#include "pool/lifeline.hpp"
#include "pool/metrics_process.hpp"
#include "pool/notify_socket.hpp"
#include "pool/orphans.hpp"
#include "pool/own_limits.hpp"
#include "pool/pid_file.hpp"
#include "pool/pool_log.hpp"
#include "pool/program_outputs.hpp"
#include "pool/redeliverer.hpp"
#include "pool/reload.hpp"
#include "pool/restart_plan.hpp"
#include "pool/service_manager.hpp"
#include "pool/socket_check.hpp"
#include "pool/status_door.hpp"
#include "pool/stranded.hpp"
#include "pool/take_over.hpp"
#include "pool/untaken.hpp"
#include "pool/wake_list.hpp"
#include "pool/worker_signals.hpp"

namespace udppump::detail {

/// What a supervisor works with; all outlives it.
struct supervised {
  launch_context& context;
  launcher& start;
  service_manager& service;
  const pool_log& log;
  take_over& takes_over;
  redeliverer* redelivers;  // null without redeliver
  const pid_file* pid;      // null without pid_file
  status_door* door;        // null without status_group
  /// Of workers that do not say themselves when they serve; not set if they do.
  std::optional<std::chrono::milliseconds> ready_after = {};
  /// Where programs say it; null if there is no such place.
  notify_socket* notifies = nullptr;
  /// Null if nobody tells Prometheus.
  metrics_process* metrics = nullptr;
  /// Of programs; 0: none.
  std::chrono::milliseconds max_wait{0};
  std::chrono::milliseconds hang_timeout{0};
  /// What they write to stderr; null if the parent does not read it.
  program_outputs* outputs = nullptr;
};

/// The parent at work: keeps as many workers as wanted alive, stops, reloads and hands over. One thread, in run().
class supervisor {
 public:
  explicit supervisor(const supervised& parts);

  /// Returns what the process should exit with. Throws std::system_error if the first workers cannot be started.
  int run();

 private:
  using clock = std::chrono::steady_clock;
  enum class phase {
    starting,  // up to when all workers served for the first time
    serving,
    stopping,
  };
  /// One of the workers there should be, by number.
  struct place {
    restart_plan plan;
    std::optional<clock::time_point> start_at = {};
  };
  /// What a worker that has ended may have left in its group.
  struct remains {
    std::size_t number;
    pid_t group;
    clock::time_point until;
  };
  struct running_reload {
    reload steps;
    clock::time_point began;
    std::vector<remains> left = {};
    /// Of one worker that has reached a limit; no order of anybody.
    bool is_renewal = false;
  };
  /// The queues are emptied before the stop.
  struct drain {
    std::string why;
    clock::time_point until;
    clock::time_point looks_at;
  };

  void go_round();
  wake_reasons wait();
  clock::time_point next_event() const;
  void take_signals();
  void heed_stray(const signalfd_siginfo& came);
  void take_requests(bool notified);

  crew::member& start(std::size_t number);
  void hear_ready();
  void note_serving();
  void write_pid() const;
  void reap();
  void hunt_for(const crew::member& who, clock::time_point now);
  void end_orphans();
  void bury(const crew::dead_member& dead);
  void start_for_offers(std::size_t number);
  /// Says what happens next, for the log.
  std::string plan_restart(const crew::dead_member& dead, clock::time_point now, std::uint64_t served,
                           const std::string& told);
  /// Whether a worker other than that number's serves, or may yet be kept alive.
  bool has_others(std::size_t number) const;
  /// Places whose worker cannot be kept alive, and is not there now.
  std::size_t lost_places() const;
  std::string reason_for(const crew::dead_member& dead) const;
  void give_up(const crew::dead_member& dead, const std::string& told);
  std::vector<pid_t> sessions_to_trust();
  void start_those_due();
  /// Why it is killed: the rest of a sentence about it.
  std::string how_it_was_late(const crew::member& one) const;
  void enforce_deadlines();
  void leave_undead();

  void look_after_workers(clock::time_point now);
  std::chrono::nanoseconds longest_without_sign() const noexcept;
  void look_for_hung(clock::time_point now);
  /// `what` it has done for so long.
  void abort(crew::member& one, const std::string& what, std::chrono::nanoseconds time);
  void look_for_idle_programs(clock::time_point now);
  void renew_one(clock::time_point now);
  std::string limit_reached_by(crew::member& one, clock::time_point now) const;
  bool does_serve();

  void begin_reload();
  void continue_reload();
  void take_step(std::size_t number, reload::step what);
  bool is_of_before(const crew::member& one) const noexcept { return !one.replaces && one.started < reload_->began; }
  bool is_proven(const crew::member& one, clock::time_point now) const noexcept;
  clock::time_point next_proof() const;
  reload::seen look_at(std::size_t number) const;
  void end_reload();
  void give_reload_up(std::size_t number, const std::string& failure);

  /// An order, of whomever and for whatever number: carried out or refused, and the log says so.
  void scale(std::int64_t wanted, const std::string& asked_by);
  void scale_to(std::size_t wanted, const std::string& asked_by);

  void begin_stop(const std::string& why, bool handed_over);
  bool begin_drain(const std::string& why, bool handed_over);
  void look_at_drain();
  void heed_take_over();
  void tell_main_process(const peer& who, const std::string& told);
  void set_result(pool_result result) noexcept { result_ = result_ == 0 ? static_cast<int>(result) : result_; }

  bool is_stopping() const noexcept { return phase_ == phase::stopping; }
  std::string status() const;

  const supervised parts_;
  const pool_options& options_;
  board& board_;
  const pool_log& log_;
  const blocked_signals signals_;
  descriptor signal_fd_;
  std::optional<file_watch> files_;
  std::optional<stranded_watch> stranded_;
  socket_check sockets_;
  backlog backlog_;
  std::vector<place> places_;
  crew crew_;
  left_groups left_groups_;
  error_log errors_;
  lane_balance lanes_;
  std::optional<orphans> orphans_;
  std::optional<untaken_watch> untaken_;  // of programs
  std::optional<own_limits> limits_;      // of workers that are processes
  std::optional<running_reload> reload_;
  std::optional<drain> drain_;
  phase phase_ = phase::starting;
  bool has_worker_died_ = false;       // since the sockets were looked at
  bool handed_over_ = false;           // another process serves on
  bool is_next_stop_ignored_ = false;  // it asks for what is under way
  clock::time_point hung_look_at_ = {};
  clock::time_point looked_after_at_ = {}, present_since_ = {};  // workers are not blamed for when this one did not run
  clock::time_point renewal_at_ = {};
  std::uint64_t taken_before_ = 0;  // when the watchdog was last to be fed
  bool waited_before_ = false, is_stuck_ = false;
  clock::time_point watchdog_at_ = clock::time_point::max();
  int result_ = 0;
  const std::chrono::milliseconds prove_for_;
};

}  // namespace udppump::detail
