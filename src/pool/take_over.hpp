#pragma once

#include <signal.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pool/own_command.hpp"
#include "pool/pool_log.hpp"
#include "pool/predecessor.hpp"
#include "pool/successor.hpp"
#include "sys/service_path.hpp"
#include "udppump/descriptor.hpp"

namespace udppump::detail {

/// How this parent came to its sockets, and how another gets them from it.
///
/// One successor at a time has the sockets, up to `patience`; the others wait for it. While some wait that have come by
/// the path, who has the sockets by the path must be ready sooner, so that nobody can keep the others out. And workers
/// of the same user can send SIGUSR2 again and again, and stop what that executes, or not. So those by the path come
/// first: what was executed is given up for them at once, and nothing is executed while one of them takes over. What
/// was executed and does not become the heir is ended; and after it, the next one is executed only after a pause.
class take_over {
 public:
  using clock = std::chrono::steady_clock;

  /// `own` is executed by begin(). `listener` may be empty.
  /// A successor that has not said that it serves after `patience` is given up. What was executed has `grace` from then
  /// on to end by itself. Nobody gets the sockets if there is a reason why this process `must_stay`.
  take_over(own_command own, descriptor listener, std::optional<service_path> path, std::optional<predecessor> before,
            std::chrono::milliseconds patience, std::chrono::milliseconds grace, std::string must_stay,
            const pool_log& log);
  /// Removes the socket's path if it is this pool's: neither handed on nor not yet taken over.
  ~take_over();
  take_over(const take_over&) = delete;
  take_over& operator=(const take_over&) = delete;

  /// The pool before this one serves on if this one ends.
  bool depends_on_predecessor() const noexcept { return before_ && !before_->is_ours(); }
  /// The pool before this one may serve on, or has not heard yet that it is to end: what waits is its as well.
  bool may_predecessor_serve() const noexcept { return may_predecessor_serve_; }
  /// A process has the sockets, and has not said whether it serves.
  bool is_handing_on() const noexcept { return in(successor::phase::has) != nullptr; }
  /// All workers of this pool serve: those of the pool before it may go.
  void say_ready() noexcept;
  /// Why the pool before this one does not hand over after all; empty if nothing of the kind was said.
  std::string hear_predecessor();

  /// Executes this program anew, connected to this one; after a pause if the last one has failed. `mask` is the signal
  /// mask it should have.
  void begin(const sigset_t& mask);
  /// Descriptors to poll for reading; then look().
  std::vector<int> descriptors() const;
  /// The process that has taken over, whose workers serve; nothing while there is none.
  std::optional<peer> look(const handed_sockets& sockets);
  /// SIGCHLD: the execution of begin() may have ended. Those that have, and did not take over.
  std::vector<pid_t> reap();
  /// Kills those executions that were told to end, and have not in time: these.
  std::vector<pid_t> kill_late_ones(clock::time_point now);
  /// No execution that was told to end is given time any more.
  void end_patience(clock::time_point now) noexcept;
  /// Some execution has been told to end, and has not.
  bool is_ending() const noexcept;
  /// No longer: who asks, or waits, is turned away, and told why. Who came by the path and has the sockets is left with
  /// them, and serves on: that process.
  std::optional<peer> close(const std::string& why);
  /// When look() is to be called although no descriptor is readable.
  clock::time_point wakes_at() const noexcept;

  int listener() const noexcept { return listener_.fd(); }
  /// All that is open here, which no worker should have.
  std::vector<int> own_descriptors() const;
  /// Children of this process: what SIGUSR2 executed, and has not been seen to end.
  std::vector<pid_t> executed() const;
  /// Of these, those that were not killed.
  std::vector<pid_t> living() const;

 private:
  struct execution {
    enum class state : char { runs, told, killed, left, heir };
    pid_t pid;
    state now = state::runs;
    clock::time_point until = clock::time_point::max();  // told: it is killed; killed: it is left
  };

  void execute(const sigset_t& mask);
  void execute_when_due(clock::time_point now);
  void tell_given_up_ones(clock::time_point now);
  void note_failure(clock::time_point now);
  [[noreturn]] void execute_own(const std::string& file, int connection, const sigset_t& mask) const;
  void remove_path() noexcept;
  /// Not before the pool before this one knows that it is to end, which it may not do if this one ends first.
  bool hands_on() const noexcept { return !before_; }
  void accept();
  void accept_one(descriptor connection);
  bool make_room();
  void hear(successor& one);
  void give_up_late_ones(clock::time_point now);
  void hand_to_next(const handed_sockets& sockets);
  std::optional<peer> take_heir();
  void leave_path_to(const successor& heir) noexcept;
  void give_up(successor& one, const std::string& why);
  successor* in(successor::phase which) const noexcept;
  clock::time_point deadline_of(const successor& one) const noexcept;
  /// Of those that wait for the sockets, who came by the path; first of all, if there is any, and else any.
  successor* first_waiting() const noexcept;
  std::size_t waiting_by_path() const noexcept;
  /// Somebody by the path waits for the sockets or has them.
  bool is_asked_by_path() const noexcept;
  bool has_one_before_execution() const noexcept { return is_ending() || is_asked_by_path(); }

  const own_command own_;
  descriptor listener_;
  const std::optional<service_path> path_;
  std::optional<predecessor> before_;
  bool may_predecessor_serve_;
  const provoked_log log_;
  std::vector<std::unique_ptr<successor>> successors_;  // in the order in which they came
  std::vector<execution> executed_;
  std::optional<sigset_t> wanted_;  // an execution that is to come, and its mask
  clock::time_point executes_from_ = clock::time_point::min();
  clock::time_point failed_at_ = clock::time_point::min();
  std::chrono::seconds pause_{0};
  clock::time_point accepts_from_ = clock::time_point::min();
  const std::chrono::milliseconds patience_;
  const std::chrono::milliseconds grace_;
  const std::string must_stay_;  // why; empty if it need not
  bool owns_path_;
};

}  // namespace udppump::detail
