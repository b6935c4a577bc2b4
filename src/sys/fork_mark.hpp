#pragma once

#include <sys/types.h>

#include <atomic>

#include "sys/sys_memory.hpp"
#include "sys/sys_process.hpp"

namespace udppump::detail {

/// Knows whether a fork() lies between its making and now, at the cost of a memory read: a page that the kernel wipes
/// in the child (MADV_WIPEONFORK, madvise(2), Linux 4.14); by process id if there is no such page.
class fork_mark {
 public:
  fork_mark() noexcept : pid_{sys::process_id()} {
    void* const page = sys::map_anonymous(sizeof(unsigned), MAP_PRIVATE);
    if (page == nullptr) return;
    if (sys::wipe_on_fork(page, sizeof(unsigned)) < 0) {
      sys::unmap(page, sizeof(unsigned));
      return;
    }
    mark_ = new (page) std::atomic<unsigned>{1};
  }
  ~fork_mark() {
    if (mark_ != nullptr) sys::unmap(mark_, sizeof(unsigned));
  }
  fork_mark(const fork_mark&) = delete;
  fork_mark& operator=(const fork_mark&) = delete;

  bool in_child() const noexcept {
    return mark_ != nullptr ? mark_->load(std::memory_order_relaxed) == 0 : sys::process_id() != pid_;
  }
  /// This process is now the one that counts.
  void renew() noexcept {
    pid_ = sys::process_id();
    if (mark_ != nullptr) mark_->store(1, std::memory_order_relaxed);
  }

 private:
  pid_t pid_;
  std::atomic<unsigned>* mark_ = nullptr;
};

}  // namespace udppump::detail
