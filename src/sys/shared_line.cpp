#include "sys/shared_line.hpp"

#include <sys/mman.h>

#include <cstddef>

#include "sys/fork_mark.hpp"
#include "sys/sys.hpp"

namespace udppump::detail {

namespace {

/// A page shared with processes forked from now on, which is handed out line by line. Only the thread that made it
/// hands lines out, and no child that inherited it: a line is never given to two sockets.
class shared_page {
 public:
  static constexpr std::size_t size = 4096;

  shared_page() noexcept : memory_{sys::map_anonymous(size, MAP_SHARED)} {}
  ~shared_page() {
    if (memory_ != nullptr) sys::unmap(memory_, size);
  }
  shared_page(const shared_page&) = delete;
  shared_page& operator=(const shared_page&) = delete;

  bool has_lines() const noexcept { return memory_ != nullptr && used_ < size && !mark_.in_child(); }
  void* next_line() noexcept {
    void* const next = static_cast<std::byte*>(memory_) + used_;
    used_ += shared_line_size;
    return next;
  }

 private:
  fork_mark mark_;
  void* memory_;
  std::size_t used_ = 0;
};

}  // namespace

std::shared_ptr<void> make_shared_line() {
  thread_local std::shared_ptr<shared_page> page;
  if (!page || !page->has_lines()) page = std::make_shared<shared_page>();
  if (!page->has_lines()) return nullptr;
  return {page, page->next_line()};
}

}  // namespace udppump::detail
