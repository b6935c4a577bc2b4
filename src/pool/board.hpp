#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "pump/kept_datagram.hpp"
#include "pump/worker_link.hpp"
#include "pump/worker_page.hpp"
#include "udppump/descriptor.hpp"

namespace udppump::detail {

/// Of the shared memory as a whole. A change of board_header, worker_page or kept_datagram is a new one.
constexpr std::uint32_t layout_version = 1;
constexpr char board_name[] = "udppump-pool";  // of the memfd
constexpr char board_magic[8] = {'u', 'd', 'p', 'p', 'u', 'm', 'p', '\0'};

/// Bits of board_header::requests.
constexpr std::uint32_t request_stop = 1, request_reload = 2;

/// What the shared memory begins with; worker_pages follow, then kept_datagrams, at the distances that it tells. What
/// two processes touch is atomic, without a lock.
struct board_header {
  char magic[8];
  std::uint32_t version;
  std::uint32_t pages, page_distance;
  std::uint32_t kept, kept_distance;  // kept: 0 without redeliver
  std::uint32_t payload_limit;
  std::uint64_t pages_at, kept_at;
  std::atomic<std::int32_t> parent;
  /// What anyone wants of the parent, in bits; it is then notified.
  std::atomic<std::uint32_t> requests;
  /// Raised whenever a kept datagram is offered: time to look for one.
  std::atomic<std::uint32_t> offers;
  shared_count restarts, reloads, redelivered, poisoned, abandoned;
};

inline worker_page& page_at(board_header& board, std::uint32_t index) noexcept {
  auto* const bytes = reinterpret_cast<std::byte*>(&board) + board.pages_at;
  return *reinterpret_cast<worker_page*>(bytes + std::size_t{index} * board.page_distance);
}

/// The memory that a pool shares with its workers, and the descriptors by which each is woken: an eventfd a page, and
/// one for the parent. The descriptors and the mapping live as long as this object; a forked worker inherits them.
class board {
 public:
  /// `payload_limit` is 0 if no datagrams are kept. Throws std::system_error.
  board(std::size_t pages, std::size_t payload_limit);
  /// What another process made: its memory, and the descriptors by which the parent and one page are notified.
  board(descriptor memory, descriptor parent_signal, std::size_t page, descriptor page_signal);
  ~board();
  board(const board&) = delete;
  board& operator=(const board&) = delete;

  board_header& header() const noexcept { return *header_; }
  worker_page& page(std::size_t index) const noexcept { return page_at(*header_, static_cast<std::uint32_t>(index)); }
  std::size_t pages() const noexcept { return header_->pages; }

  bool keeps_datagrams() const noexcept { return header_->kept != 0; }
  /// Where the worker of a page receives into, if datagrams are kept.
  kept_datagram& own_of(std::size_t page) const noexcept { return kept()[static_cast<std::uint32_t>(page)]; }
  /// Those for redelivery, as many as there are pages; none if no datagrams are kept.
  kept_row offered() const noexcept;
  /// What the worker of a page has of it.
  worker_share share_of(std::size_t page) const noexcept;

  /// A free page, emptied and put to `starting`; throws std::system_error if there is none.
  std::size_t claim(std::size_t number);
  void release(std::size_t page) noexcept;
  /// Bits for board_header::requests; the parent is notified. Any thread, signal handlers.
  void request(std::uint32_t what) noexcept;
  /// Has the worker of a page look at what it was told.
  void notify(std::size_t page) const noexcept;

  int memory_fd() const noexcept { return memory_.fd(); }
  int parent_signal() const noexcept { return parent_signal_.fd(); }
  /// Made when it is first asked for, which is before the worker starts; throws std::system_error.
  int page_signal(std::size_t page);

 private:
  void map(std::size_t size);
  kept_row kept() const noexcept;

  descriptor memory_, parent_signal_;
  std::vector<descriptor> page_signals_;
  board_header* header_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace udppump::detail
