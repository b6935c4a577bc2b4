#pragma once

#include <sys/types.h>

#include <functional>

#include "pool/launcher.hpp"

namespace udppump::detail {

/// A worker that is a process. Its destructor kills it.
class worker_process : public running_worker {
 public:
  worker_process(pid_t pid, board& shared, std::size_t page) : pid_{pid}, id_{pid}, page_{shared.page(page)} {}
  ~worker_process() override;
  worker_process(const worker_process&) = delete;
  worker_process& operator=(const worker_process&) = delete;

  std::optional<worker_end> ended() override;
  pid_t pid() const noexcept override { return id_; }
  bool kill() noexcept override;
  void abandon() noexcept override {}

 protected:
  pid_t pid_;  // 0 once it has ended
  const pid_t id_;
  worker_page& page_;
};

/// One that reads its page.
class paged_worker_process : public worker_process {
 public:
  paged_worker_process(pid_t pid, board& shared, std::size_t page)
      : worker_process{pid, shared, page}, shared_{shared}, at_{page} {}
  void ask_to_stop() noexcept override;

 private:
  board& shared_;
  const std::size_t at_;
};

/// Forks. The child becomes a worker and ends with what `in_child` returns, or with status_no_setup and last words.
/// Throws std::system_error in the parent if it cannot.
pid_t fork_worker(const launch_context& context, const assignment& what, const std::function<int()>& in_child);

}  // namespace udppump::detail
