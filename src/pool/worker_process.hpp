#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "pool/launcher.hpp"

namespace udppump::detail {

/// A process that was forked to be a worker, and its lifeline.
struct forked_worker {
  pid_t pid;
  lifeline line;
};

/// How long a process may take to end that was killed.
constexpr std::chrono::seconds killing_time{5};
/// And one that was told to abort, which may write a core dump.
constexpr std::chrono::seconds aborting_time{5};
/// Why one that was killed is still there, and what helps, as the rest of a sentence about it.
std::string why_not_gone(pid_t pid);

/// A worker that is a process. Its destructor kills it, and waits for that if it may, but not beyond killing_time.
class worker_process : public running_worker {
 public:
  worker_process(forked_worker forked, board& shared, std::size_t page)
      : pid_{forked.pid}, id_{forked.pid}, lifeline_{std::move(forked.line)}, page_{shared.page(page)} {}
  ~worker_process() override;
  worker_process(const worker_process&) = delete;
  worker_process& operator=(const worker_process&) = delete;

  std::optional<worker_end> ended() override;
  pid_t pid() const noexcept override { return id_; }
  void list_parents_own(std::vector<int>& own) const override { lifeline_.list(own); }
  lifeline take_lifeline() noexcept override { return std::move(lifeline_); }
  bool kill() noexcept override;
  bool abort() noexcept override;
  std::string_view cannot_be_killed_as() const noexcept override {
    return "has become another user, as set-user-ID programs do unless they may gain no privileges";
  }
  void abandon() noexcept override { is_left_ = true; }

 protected:
  pid_t pid_;  // 0 once it has ended
  const pid_t id_;
  lifeline lifeline_;
  worker_page& page_;
  bool is_left_ = false;
};

/// One that reads its page.
class paged_worker_process : public worker_process {
 public:
  paged_worker_process(forked_worker forked, board& shared, std::size_t page)
      : worker_process{std::move(forked), shared, page}, shared_{shared}, at_{page} {}
  void ask_to_stop() noexcept override;

 private:
  board& shared_;
  const std::size_t at_;
};

/// Forks. The child becomes a worker and ends with what `in_child` returns, or with status_no_setup and last words;
/// `in_child` is given the worker's end of the lifeline. Throws std::system_error in the parent if it cannot.
forked_worker fork_worker(const launch_context& context, const assignment& what,
                          const std::function<int(int lifeline)>& in_child);

}  // namespace udppump::detail
