#include "pump/stand_by.hpp"

#include <sys/mman.h>

#include <cstddef>

#include "sys/fork_mark.hpp"

namespace udppump::detail {

namespace {

/// A page shared with processes forked from now on, of which each socket gets a cache line. It is handed out by one
/// thread, and not by a child that inherited it: lines are never given to two sockets.
class shared_page {
 public:
  static constexpr std::size_t size = 4096, line = 64;

  shared_page() noexcept : memory_{::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)} {}
  ~shared_page() {
    if (memory_ != MAP_FAILED) ::munmap(memory_, size);
  }
  shared_page(const shared_page&) = delete;
  shared_page& operator=(const shared_page&) = delete;

  bool has_lines() const noexcept { return memory_ != MAP_FAILED && used_ < size && !mark_.in_child(); }
  void* next_line() noexcept {
    void* const next = static_cast<std::byte*>(memory_) + used_;
    used_ += line;
    return next;
  }

 private:
  fork_mark mark_;
  void* memory_;
  std::size_t used_ = 0;
};

}  // namespace

std::shared_ptr<leader_note> leader_note::make() {
  thread_local std::shared_ptr<shared_page> page;
  if (!page || !page->has_lines()) page = std::make_shared<shared_page>();
  if (!page->has_lines()) return nullptr;
  // The page is zero, which is what a constructor would write; but writing would touch it.
  return {page, static_cast<leader_note*>(page->next_line())};
}

}  // namespace udppump::detail
