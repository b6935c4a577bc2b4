#pragma once

#include <cstddef>

namespace bench {

/// Memory of this process, in bytes, from proc(5).
struct memory_use {
  /// Anonymous pages that were touched: heap, stacks; exact.
  std::size_t anonymous = 0;
  /// Rings that the kernel holds for io_uring, as mapped; exact.
  std::size_t rings = 0;
  /// The whole machine's slabs, kernel stacks and page tables: what others do meanwhile is in it.
  std::size_t kernel = 0;
  std::size_t threads = 0;
  std::size_t descriptors = 0;

  static memory_use now();
};

}  // namespace bench
