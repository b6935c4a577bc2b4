#pragma once

#include "pool/running_worker.hpp"

namespace udppump::detail {

/// A worker that is a process. Its destructor kills it.
class process : public running_worker {
 public:
  process(pid_t pid, board& shared, std::size_t page) : pid_{pid}, page_{shared.page(page)} {}
  ~process() override;
  process(const process&) = delete;
  process& operator=(const process&) = delete;

  std::optional<worker_end> ended() override;
  bool kill() noexcept override;

 protected:
  pid_t pid_;  // 0 once it has ended
  worker_page& page_;
};

/// One that reads its page.
class paged_process : public process {
 public:
  paged_process(pid_t pid, board& shared, std::size_t page) : process{pid, shared, page}, shared_{shared}, at_{page} {}
  void ask_to_stop() noexcept override {
    page_.orders.fetch_or(order_stop, std::memory_order_release);
    shared_.notify(at_);
  }

 private:
  board& shared_;
  const std::size_t at_;
};

/// Forks. The child becomes a worker and ends with what `in_child` returns, or with status_no_setup and last words.
/// Throws std::system_error in the parent where it cannot.
pid_t fork_worker(const launch_context& context, const assignment& what, const std::function<int()>& in_child);

}  // namespace udppump::detail
