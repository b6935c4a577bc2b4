#pragma once

#include <linux/filter.h>

#include <cstddef>
#include <span>
#include <vector>

#include "udppump/lanes.hpp"

namespace udppump::detail {

/// How the lanes of a port are made: one SO_REUSEPORT group, and a program by which the kernel puts each datagram into
/// one of its sockets.
///
/// In the kernel's group the last lane is the first member: what no program can sort, such as a datagram that ends too
/// early, is put there (net/core/sock_reuseport.c: run_bpf_filter). The others follow in their order. The kernel
/// numbers members as they join, and gives the number of one that leaves to the last.
class UDPPUMP_EXPORT lane_group {  // exported for udppump::pool
 public:
  /// Throws std::invalid_argument for lanes that make no sense, or if there are too many matches for one program.
  explicit lane_group(std::span<const lane> lanes);

  /// Throws std::invalid_argument for what the kernel does not sort, with the reason.
  static void check_sortable(const address& local, const socket_options& options);

  /// How the socket of a lane is to be bound, if those of the pool or the program are bound so.
  socket_options options_of(std::size_t lane, socket_options options) const;
  /// One socket for each lane, in their order. Throws as bind_lanes().
  std::vector<datagram_socket> bind(const address& local, const socket_options& options) const;
  /// The same, if `last`, the socket of the last lane, has its port alone until now. Only who owns it may: root, or
  /// the user who made it. `now` says whether sort() or gather() follows. Throws std::system_error.
  enum class begin : bool { sorted, gathered };
  std::vector<datagram_socket> join(datagram_socket last, const socket_options& options,
                                    begin now = begin::sorted) const;
  /// Has the kernel sort by these lanes what comes to the group that `member` is of, whatever it did before. 0 or
  /// -errno; -EINVAL if it is of no group any more, as it was connected or bound to a device since it joined, although
  /// that may be undone by now (udp_lib_rehash() in net/ipv4/udp.c, reuseport_attach_prog()).
  int sort(int member) const noexcept;
  /// The same, but all of it comes to the last lane.
  static int gather(int member) noexcept;
  /// Says which lane a socket is.
  static void mark(datagram_socket& socket, std::size_t lane) noexcept;

 private:
  std::vector<lane> lanes_;
  std::vector<sock_filter> sorter_;
};

}  // namespace udppump::detail
