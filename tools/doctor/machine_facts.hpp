#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "doctor/file_tree.hpp"
#include "doctor/finding.hpp"

namespace udppump::doctor {

/// The table of connections that a firewall keeps (Documentation/networking/nf_conntrack-sysctl.rst).
struct connection_table {
  std::uint64_t used = 0, most = 0;
  /// What it had no room for, over all processors.
  std::uint64_t drops = 0;
};

/// Of UDP as a whole, in this network namespace, since it was made (/proc/net/snmp).
struct udp_counts {
  std::uint64_t buffer_errors = 0, checksum_errors = 0, memory_errors = 0;
};

/// The memory of all UDP sockets in pages, and the most that there may be (udp_mem, ip-sysctl.rst).
struct udp_memory {
  std::uint64_t used = 0, most = 0;
};

/// What a network card or its driver dropped before the kernel saw it (sysfs-class-net-statistics).
struct interface_drops {
  std::string name;
  std::uint64_t missed = 0, fifo = 0, dropped = 0;
};

/// What is not known is absent; why, stands in `hidden`.
struct machine_facts {
  std::optional<std::uint64_t> largest_buffer = {};  // net.core.rmem_max
  std::optional<std::uint64_t> uring_disabled = {};  // kernel.io_uring_disabled
  /// Absent if nothing keeps such a table.
  std::optional<connection_table> connections = {};
  std::optional<udp_counts> udp = {};
  std::optional<udp_memory> memory = {};
  std::optional<std::uint64_t> backlog_drops = {};  // of all processors, /proc/net/softnet_stat
  std::vector<interface_drops> interfaces = {};
  std::string clock = {};
  std::vector<unseen> hidden = {};
};

machine_facts read_machine(const file_tree& files);

}  // namespace udppump::doctor
