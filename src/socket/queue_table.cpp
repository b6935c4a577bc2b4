#include "socket/queue_table.hpp"

#include <linux/sock_diag.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>
#include <span>
#include <string>

#include "socket/port_table.hpp"
#include "socket/udp_list.hpp"

namespace udppump::detail {

namespace {

using table = std::map<std::uint64_t, listed_queue>;

bool is_among(std::span<const std::uint64_t> inodes, std::uint64_t inode) noexcept {
  return std::binary_search(inodes.begin(), inodes.end(), inode);
}

void ask_kernel(std::span<const std::uint64_t> inodes, table& found) {
  const auto note = [&](const inet_diag_msg& told, std::span<const std::byte> more) {
    std::uint32_t memory[SK_MEMINFO_VARS] = {};
    const auto told_memory = attribute_of(more, INET_DIAG_SKMEMINFO);
    // Before Linux 4.10 without the drops, which are last.
    if (!is_among(inodes, told.idiag_inode) || told_memory.size() <= SK_MEMINFO_DROPS * sizeof *memory) return;
    std::memcpy(memory, told_memory.data(), std::min(sizeof memory, told_memory.size()));
    found[told.idiag_inode] = {
        .fill = memory[SK_MEMINFO_RMEM_ALLOC], .limit = memory[SK_MEMINFO_RCVBUF], .drops = memory[SK_MEMINFO_DROPS]};
  };
  constexpr std::uint8_t with_memory = 1 << (INET_DIAG_SKMEMINFO - 1);
  for (const int family : {AF_INET, AF_INET6}) static_cast<void>(list_udp_sockets(family, with_memory, note));
}

void read_tables(std::span<const std::uint64_t> inodes, pid_t process, table& found) {
  for (const char* const name : {"/net/udp", "/net/udp6"}) {
    const auto lines = read_udp_table("/proc/" + std::to_string(process) + name);
    for (std::size_t at = 0; lines && at < lines->size(); ++at) {
      const table_line& one = (*lines)[at];
      if (!is_among(inodes, one.socket.inode)) continue;
      found.emplace(one.socket.inode, listed_queue{.fill = one.queued, .drops = static_cast<std::uint32_t>(one.drops)});
    }
  }
}

}  // namespace

std::map<std::uint64_t, listed_queue> udp_queues(std::vector<std::uint64_t> inodes, pid_t process) {
  table found;
  if (inodes.empty()) return found;
  std::sort(inodes.begin(), inodes.end());
  ask_kernel(inodes, found);
  if (found.size() < inodes.size()) read_tables(inodes, process, found);
  return found;
}

}  // namespace udppump::detail
