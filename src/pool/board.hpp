#pragma once

#include <cstddef>
#include <vector>

#include "pump/worker_page.hpp"
#include "sys/descriptor.hpp"

namespace udppump::detail {

/// The memory that a pool shares with its workers, and the descriptors by which each is woken: an eventfd a page, and
/// one for the parent. The descriptors and the mapping live as long as this object; a forked worker inherits them.
class board {
 public:
  /// `payload_limit` is 0 where no datagrams are kept. Throws std::system_error.
  board(std::size_t pages, std::size_t payload_limit);
  /// What another process made: its memory, and the descriptors by which the parent and one page are notified.
  board(descriptor memory, descriptor parent_signal, std::size_t page, descriptor page_signal);
  ~board();
  board(const board&) = delete;
  board& operator=(const board&) = delete;

  board_header& header() const noexcept { return *header_; }
  worker_page& page(std::size_t index) const noexcept { return page_at(*header_, static_cast<std::uint32_t>(index)); }
  std::size_t pages() const noexcept { return header_->pages; }

  /// A free page, emptied and put to `starting`; throws std::system_error where there is none.
  std::size_t claim(std::size_t number);
  void release(std::size_t page) noexcept;
  /// Has the worker of a page look at what it was told.
  void notify(std::size_t page) const noexcept;

  int memory_fd() const noexcept { return memory_.fd(); }
  int parent_signal() const noexcept { return parent_signal_.fd(); }
  /// Made when it is first asked for, which is before the worker starts; throws std::system_error.
  int page_signal(std::size_t page);

 private:
  void map(std::size_t size);

  descriptor memory_, parent_signal_;
  std::vector<descriptor> page_signals_;
  board_header* header_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace udppump::detail
