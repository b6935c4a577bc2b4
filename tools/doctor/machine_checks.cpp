#include "doctor/machine_checks.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>

#include "doctor/wording.hpp"

namespace udppump::doctor {

namespace {

/// Shares from which a table or a memory is nearly full.
constexpr double nearly_full = 0.8;

double share(std::uint64_t used, std::uint64_t most) {
  return most == 0 ? 0 : static_cast<double>(used) / static_cast<double>(most);
}

}  // namespace

findings check_largest_buffer(const looks<machine_facts>& machine) {
  constexpr std::uint64_t kernels_default = 212'992;
  const auto most = machine.now.largest_buffer;
  if (!most || *most > kernels_default) return {};
  return {{severity::note, "receive-buffer-limit",
           fmt::format("net.core.rmem_max is {}: no socket that root did not make gets a larger receive buffer",
                       bytes_text(*most)),
           "sysctl -w net.core.rmem_max=4194304"}};
}

findings check_udp_counts(const looks<machine_facts>& machine) {
  findings found;
  if (!machine.before.udp || !machine.now.udp) return found;
  const udp_counts &before = *machine.before.udp, &now = *machine.now.udp;
  if (const auto lost = grown(before.memory_errors, now.memory_errors)) {
    found.push_back({severity::wrong, "udp-memory",
                     fmt::format("the kernel drops {}: all UDP sockets together have no memory left",
                                 rate_text(lost, "datagram", machine.seconds)),
                     "raise net.ipv4.udp_mem"});
  }
  if (const auto lost = grown(before.buffer_errors, now.buffer_errors)) {
    // Whose they are is known of a pool's own sockets (check_drops).
    found.push_back({severity::warning, "udp-drops",
                     fmt::format("the kernel drops {}, as some socket's receive buffer is full",
                                 rate_text(lost, "datagram", machine.seconds)),
                     "ss -uamp shows whose (d in skmem)"});
  }
  if (const auto lost = grown(before.checksum_errors, now.checksum_errors)) {
    found.push_back(
        {severity::warning, "checksums",
         fmt::format("{} come damaged: their checksum is wrong", rate_text(lost, "datagram", machine.seconds)),
         "look at cables, and at the checksum offload of the network card (ethtool -k)"});
  }
  return found;
}

findings check_udp_memory(const looks<machine_facts>& machine) {
  const auto& memory = machine.now.memory;
  if (!memory || share(memory->used, memory->most) < nearly_full) return {};
  return {{memory->used >= memory->most ? severity::wrong : severity::warning, "udp-memory",
           fmt::format("all UDP sockets together have {} of the {} pages that they may have (net.ipv4.udp_mem)",
                       number_text(memory->used), number_text(memory->most)),
           "raise net.ipv4.udp_mem, or have smaller receive buffers"}};
}

findings check_connections(const looks<machine_facts>& machine) {
  const auto& table = machine.now.connections;
  if (!table) return {};
  const std::string cure =
      "raise net.netfilter.nf_conntrack_max, or keep the port out of the table: nft add rule inet raw prerouting udp "
      "dport PORT notrack";
  const auto lost = machine.before.connections ? grown(machine.before.connections->drops, table->drops) : 0;
  if (lost != 0 || (table->most != 0 && table->used >= table->most)) {
    return {
        {severity::wrong, "connection-table",
         fmt::format("the firewall's table of connections is full ({} of {}): it drops {}", number_text(table->used),
                     number_text(table->most), rate_text(lost, "packet", machine.seconds)),
         cure}};
  }
  if (share(table->used, table->most) < nearly_full) return {};
  return {{severity::warning, "connection-table",
           fmt::format("the firewall's table of connections is nearly full: {} of {}", number_text(table->used),
                       number_text(table->most)),
           cure}};
}

findings check_backlog(const looks<machine_facts>& machine) {
  if (!machine.before.backlog_drops || !machine.now.backlog_drops) return {};
  const auto lost = grown(*machine.before.backlog_drops, *machine.now.backlog_drops);
  if (lost == 0) return {};
  return {{severity::wrong, "backlog",
           fmt::format("{} are dropped before any socket, as the processors' backlogs are full",
                       rate_text(lost, "packet", machine.seconds)),
           "raise net.core.netdev_max_backlog, or spread the load over processors (RPS)"}};
}

findings check_interfaces(const looks<machine_facts>& machine) {
  findings found;
  for (const interface_drops& now : machine.now.interfaces) {
    const auto before = std::find_if(machine.before.interfaces.begin(), machine.before.interfaces.end(),
                                     [&](const interface_drops& one) { return one.name == now.name; });
    if (before == machine.before.interfaces.end()) continue;
    const auto ring = grown(before->missed, now.missed) + grown(before->fifo, now.fifo);
    if (ring != 0) {
      found.push_back(
          {severity::wrong, "card-ring",
           fmt::format("{}: the network card drops {}, as its ring is full", now.name,
                       rate_text(ring, "packet", machine.seconds)),
           fmt::format("ethtool -g {0} shows the ring's size and ethtool -G {0} rx N raises it", now.name)});
    }
    if (const auto other = grown(before->dropped, now.dropped)) {
      // Protocols that nobody listens to are counted here as well (sysfs-class-net-statistics).
      found.push_back({severity::warning, "card-drops",
                       fmt::format("{}: {} are dropped", now.name, rate_text(other, "packet", machine.seconds)),
                       fmt::format("ip -s -s link show {} tells which kind", now.name)});
    }
  }
  return found;
}

findings check_clock(const looks<machine_facts>& machine) {
  // What a process reads without a system call.
  constexpr std::array cheap{"tsc", "kvm-clock", "hyperv_clocksource_tsc_page", "arch_sys_counter"};
  const std::string& clock = machine.now.clock;
  if (clock.empty() || std::find(cheap.begin(), cheap.end(), clock) != cheap.end()) return {};
  return {
      {severity::warning, "clock",
       fmt::format("the clock is {}: each reading is a system call, of which each datagram makes one or more", clock),
       "boot with clocksource=tsc if the processor's is stable (dmesg tells why it is not taken)"}};
}

findings check_uring(const looks<machine_facts>& machine) {
  const auto level = machine.now.uring_disabled;
  if (!level || *level == 0) return {};
  return {
      {severity::note, "io-uring",
       fmt::format("io_uring is forbidden to {} (kernel.io_uring_disabled is {}): workers on an event loop of their "
                   "own wait by a thread",
                   *level == 1 ? "all but root and kernel.io_uring_group" : "all", *level),
       "sysctl -w kernel.io_uring_disabled=0, if workers have such a loop"}};
}

findings check_machine(const looks<machine_facts>& machine) {
  findings all;
  for (const auto check : {check_largest_buffer, check_udp_counts, check_udp_memory, check_connections, check_backlog,
                           check_interfaces, check_clock, check_uring}) {
    std::ranges::move(check(machine), std::back_inserter(all));
  }
  return all;
}

}  // namespace udppump::doctor
