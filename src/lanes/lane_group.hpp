#pragma once

#include <linux/filter.h>

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "udppump/lanes.hpp"

namespace udppump::detail {

/// Throws std::invalid_argument for lanes that make no sense by themselves.
void check(std::span<const lane> lanes);
/// The same for options that do not go with lanes; `local` is none if it is not known yet.
void check_sortable(const address& local, const socket_options& options);

/// The sockets of the lanes of one port. In the kernel's group the last lane is the first member: what no program can
/// sort, such as a datagram that ends too early, is put there (net/core/sock_reuseport.c: run_bpf_filter). The others
/// follow in their order.
class lane_group {
 public:
  static std::vector<datagram_socket> bind(const address& local, std::span<const lane> lanes,
                                           const socket_options& options);
  /// Has the kernel sort by these lanes what comes to a group that bind() made with as many. Throws std::system_error.
  static void sort(const datagram_socket& member, std::span<const lane> lanes);
  static void mark(datagram_socket& socket, std::size_t lane) noexcept;

 private:
  static std::vector<sock_filter> sorter(std::span<const lane> lanes);
};

}  // namespace udppump::detail
