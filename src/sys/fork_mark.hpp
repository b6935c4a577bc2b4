#pragma once

#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

#include <atomic>

namespace udppump::detail {

/// Knows whether a fork() lies between its making and now, at the cost of a memory read: a page that the kernel wipes
/// in the child (MADV_WIPEONFORK, madvise(2), Linux 4.14); by process id if there is no such page.
class fork_mark {
 public:
  fork_mark() noexcept : pid_{::getpid()} {
    void* page = ::mmap(nullptr, sizeof(unsigned), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) return;
    if (::madvise(page, sizeof(unsigned), MADV_WIPEONFORK) != 0) {
      ::munmap(page, sizeof(unsigned));
      return;
    }
    mark_ = new (page) std::atomic<unsigned>{1};
  }
  ~fork_mark() {
    if (mark_ != nullptr) ::munmap(mark_, sizeof(unsigned));
  }
  fork_mark(const fork_mark&) = delete;
  fork_mark& operator=(const fork_mark&) = delete;

  bool in_child() const noexcept {
    return mark_ != nullptr ? mark_->load(std::memory_order_relaxed) == 0 : ::getpid() != pid_;
  }
  /// This process is now the one that counts.
  void renew() noexcept {
    pid_ = ::getpid();
    if (mark_ != nullptr) mark_->store(1, std::memory_order_relaxed);
  }

 private:
  pid_t pid_;
  std::atomic<unsigned>* mark_ = nullptr;
};

}  // namespace udppump::detail
