#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "pump/kept_datagram.hpp"
#include "pump/quarantine_list.hpp"
#include "pump/worker_link.hpp"
#include "pump/worker_page.hpp"
#include "sys/eventfd_notifier.hpp"
#include "udppump/descriptor.hpp"

namespace udppump::detail {

/// Of the shared memory as a whole. A change of board_geometry, board_header, quarantine_list, worker_page,
/// kept_datagram or shown_socket is a new one.
constexpr std::uint32_t layout_version = 9;
constexpr char board_name[] = "udppump-pool";  // of the memfd
constexpr char board_magic[8] = {'u', 'd', 'p', 'p', 'u', 'm', 'p', '\0'};

/// Bits of board_header::requests.
constexpr std::uint32_t request_stop = 1, request_reload = 2, request_scale = 4;

/// Events that a pool counts.
enum class tally : std::size_t { restarts, reloads, redelivered, poisoned, abandoned, quarantines, hangs };
constexpr std::size_t tallies = 7;

enum class shown_kind : std::uint32_t { unknown = 0, handlers = 1, programs = 2 };

/// What a pool is, as it wants to be shown. Whole texts and numbers, written before there is any worker.
struct shown_pool {
  static constexpr std::size_t longest_name = 63;

  char name[longest_name + 1];
  char version[32];
  shared_count started_at;  // CLOCK_MONOTONIC, nanoseconds
  std::atomic<shown_kind> kind;
  std::atomic<std::uint32_t> threads;  // the workers are; else processes
  std::atomic<std::uint32_t> lanes;
  std::atomic<std::uint32_t> max_age_ms;
  /// SO_RCVBUF is changed while the pool runs (program_options::max_wait).
  std::atomic<std::uint32_t> max_wait_ms;
};

/// One of the pool's sockets. The kernel knows what waits there, and what was dropped, by the inode (sock_diag(7)).
struct shown_socket {
  shared_count inode;  // another if the pool bound a new one in its place
  /// Of the receive buffer, in bytes of payload; 0: nothing was asked for.
  shared_count asked;
  /// How long the datagram that waits had waited when the parent looked, in nanoseconds, and when that was; 0: the
  /// parent does not know when datagrams come here.
  shared_count waits, looked_at;
  std::atomic<std::uint32_t> lane;
  char address[156];
  char lane_name[32];
  char name[64];
};

/// Where things lie in the shared memory: a header, then worker_pages, then kept_datagrams, then shown_sockets. It
/// follows from three numbers. Each process computes with a copy of its own, as others may write to the one in the
/// header.
struct board_geometry {
  static constexpr std::uint32_t most_pages = 2 * 4096, largest_payload = 1 << 20, most_sockets = 1 << 16;

  std::uint32_t pages = 0;
  std::uint32_t payload_limit = 0;  // 0 without redeliver
  std::uint32_t sockets = 0;

  /// Whether a pool can have asked for it; only then do the others hold.
  constexpr bool is_sound() const noexcept {
    return pages >= 1 && pages <= most_pages && payload_limit <= largest_payload && sockets <= most_sockets;
  }
  std::size_t page_at(std::uint32_t index) const noexcept;
  std::size_t kept_at() const noexcept;
  std::size_t kept_distance() const noexcept;
  /// How many there are: the workers' own, one for each page, then as many for redelivery.
  std::uint32_t kept() const noexcept { return payload_limit == 0 ? 0 : 2 * pages; }
  std::size_t socket_at(std::uint32_t index) const noexcept;
  std::size_t size() const noexcept;
};

/// What the shared memory begins with. What two processes touch is atomic, without a lock. Whoever shares it may write
/// all of it: what a process reads here is a claim.
struct board_header {
  char magic[8];
  std::uint32_t version;
  /// The geometry.
  std::uint32_t pages, payload_limit, sockets;
  std::atomic<std::int32_t> parent;
  /// What anyone wants of the parent, in bits; it is then notified.
  std::atomic<std::uint32_t> requests;
  /// With request_scale: how many workers.
  std::atomic<std::uint32_t> scale_to;
  /// How many there are to be. How many pages have ever been in use: the first ones. Orders to change the number of
  /// workers that were carried out or refused.
  std::atomic<std::uint32_t> workers, pages_used, scale_orders;
  /// Raised whenever a kept datagram is offered: time to look for one.
  std::atomic<std::uint32_t> offers;
  /// By tally; the parent counts by itself, and shows it here.
  shared_count counts[tallies];
  shown_pool shown;
  /// Odd while the parent adds a page to `before`, and frees it; whoever reads both looks whether it has changed.
  std::atomic<std::uint32_t> sums;
  /// Of workers that are gone. The parent has its own copy.
  worker_counts before;
  /// The parent keeps it by itself as well, and writes it here for the workers.
  quarantine_list quarantined;

  /// Whether it is of this version, and has a geometry that a pool can have. Reads each number once.
  static std::optional<board_geometry> geometry_of(const board_header& told) noexcept;
};

/// The memory that a pool shares with its workers, and the descriptors by which each is woken: an eventfd a page, and
/// one for the parent. The descriptors and the mapping live as long as this object; a forked worker inherits them.
/// The memory's size is sealed, so that no worker can cut it off below the parent.
class board {
 public:
  /// `payload_limit` is 0 if no datagrams are kept. Throws std::system_error.
  board(std::size_t pages, std::size_t payload_limit, std::size_t sockets = 0);
  /// What another process made: its memory, and the descriptors by which the parent and one page are notified.
  board(descriptor memory, descriptor parent_signal, std::size_t page, descriptor page_signal);
  ~board();
  board(const board&) = delete;
  board& operator=(const board&) = delete;

  board_header& header() const noexcept { return *header_; }
  worker_page& page(std::size_t index) const noexcept;
  std::size_t pages() const noexcept { return geometry_.pages; }
  /// Those that have ever been claimed are the first ones. The others' memory is not there before it is touched.
  std::size_t pages_used() const noexcept { return pages_used_; }
  /// How many workers there are to be: shown in the header, and known here as well. Up to twice as many pages as the
  /// most of these that ever were can be claimed.
  void set_workers(std::size_t workers) noexcept;
  std::size_t workers() const noexcept { return workers_.load(std::memory_order_relaxed); }
  shown_socket& socket(std::size_t index) const noexcept;
  std::size_t sockets() const noexcept { return geometry_.sockets; }

  bool keeps_datagrams() const noexcept { return geometry_.kept() != 0; }
  std::uint32_t payload_limit() const noexcept { return geometry_.payload_limit; }
  /// Where the worker of a page receives into, if datagrams are kept.
  kept_datagram& own_of(std::size_t page) const noexcept { return kept()[static_cast<std::uint32_t>(page)]; }
  /// Those for redelivery, as many as there are pages; none if no datagrams are kept.
  kept_row offered() const noexcept;
  /// What the worker of a page has of it.
  worker_share share_of(std::size_t page) const noexcept;

  /// A free page, emptied and put to `starting`; throws std::system_error if there is none. Which are free the parent
  /// knows by itself.
  std::size_t claim(std::size_t number);
  void release(std::size_t page) noexcept;
  /// Datagrams that the workers that live have taken (taken_by()): goes back when one dies. Counts of workers are
  /// claims, so it may be anything.
  std::uint64_t taken() const noexcept;
  /// Of all workers, and those before them; in the parent.
  std::uint64_t total(shared_count lane_counts::*which) const noexcept;
  std::uint64_t total(shared_count lane_counts::*which, std::size_t lane) const noexcept;
  /// One event more. The parent's thread alone.
  void count(tally what) noexcept;
  std::uint64_t counted(tally what) const noexcept { return counts_[static_cast<std::size_t>(what)]; }
  /// Bits for board_header::requests; the parent is notified. Any thread, signal handlers.
  void request(std::uint32_t what) noexcept;
  void request_scale(std::size_t workers) noexcept;
  /// Has the worker of a page look at what it was told.
  void notify(std::size_t page) const noexcept;

  std::size_t memory_size() const noexcept { return size_; }
  /// What woke the parent is heard.
  void clear_parent_signal() noexcept;

  int memory_fd() const noexcept { return memory_.fd(); }
  /// The same memory, opened for reading alone; nobody else who gets it can open it anew for anything. Empty, with
  /// -errno, if it cannot be opened so.
  descriptor memory_to_read() const noexcept;
  int parent_signal() const noexcept { return parent_signal_.fd(); }
  /// Made when it is first asked for, which is before the worker starts; throws std::system_error.
  int page_signal(std::size_t page);
  /// In the child of a fork: closes the signals of all other pages, which are not this worker's to disturb.
  void leave_other_signals(std::size_t page) noexcept;

 private:
  void map(std::size_t size);
  std::byte* at(std::size_t offset) const noexcept { return reinterpret_cast<std::byte*>(header_) + offset; }
  kept_row kept() const noexcept;
  void notify_by(int signal) const noexcept;

  descriptor memory_, parent_signal_;
  std::vector<descriptor> page_signals_;
  std::optional<eventfd_notifier> notifier_;  // in the parent, which must never wait for a worker
  board_geometry geometry_;
  board_header* header_ = nullptr;
  std::size_t size_ = 0;
  std::vector<bool> claimed_;  // pages; in the parent
  std::size_t pages_used_ = 0, most_claimed_ = 0;
  std::atomic<std::size_t> workers_{0};
  std::array<std::uint64_t, tallies> counts_{};
  std::array<std::uint64_t, worker_counts::size> before_{};
  std::uint32_t sums_ = 0;
};

}  // namespace udppump::detail
