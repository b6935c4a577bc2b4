#include "doctor/machine_facts.hpp"

#include <cerrno>
#include <cstring>

namespace udppump::doctor {

namespace {

std::string reason(int error) { return std::strerror(error); }

/// The column called `name` of a pair of lines "PREFIX NAME..." and "PREFIX NUMBER...".
std::optional<std::uint64_t> column(std::string_view table, std::string_view prefix, std::string_view name) {
  const auto lines = lines_of(table);
  for (std::size_t at = 0; at + 1 < lines.size(); ++at) {
    if (!lines[at].starts_with(prefix) || !lines[at + 1].starts_with(prefix)) continue;
    const auto names = words_of(lines[at]), values = words_of(lines[at + 1]);
    for (std::size_t word = 1; word < std::min(names.size(), values.size()); ++word) {
      if (names[word] == name) return number_of(values[word]);
    }
    return {};
  }
  return {};
}

void read_udp(const file_tree& files, machine_facts& facts) {
  const auto found = files.read("/proc/self/net/snmp");
  if (found.error != 0) {
    facts.hidden.push_back({"what the kernel drops of UDP", "/proc/net/snmp: " + reason(found.error)});
    return;
  }
  const auto count = [&](std::string_view name) { return column(found.text, "Udp:", name).value_or(0); };
  udp_counts sum{count("RcvbufErrors"), count("InCsumErrors"), count("MemErrors")};
  // Those of IPv6 have a line each.
  const auto sixth = files.text("/proc/self/net/snmp6");
  const auto more = [&](std::string_view name) {
    const auto value = sixth ? after(*sixth, name) : std::nullopt;
    return value ? number_of(*value).value_or(0) : 0;
  };
  sum.buffer_errors += more("Udp6RcvbufErrors");
  sum.checksum_errors += more("Udp6InCsumErrors");
  sum.memory_errors += more("Udp6MemErrors");
  facts.udp = sum;
}

void read_memory(const file_tree& files, machine_facts& facts) {
  const auto sockets = files.text("/proc/self/net/sockstat");
  const auto limits = files.read("/proc/sys/net/ipv4/udp_mem");
  const auto line = sockets ? after(*sockets, "UDP: inuse") : std::nullopt;
  const auto three = words_of(limits.text);
  if (!line || three.size() != 3) {
    const std::string why =
        limits.error == ENOENT ? "net.ipv4.udp_mem is not shown in this namespace" : "it may not be read here";
    facts.hidden.push_back({"the memory of all UDP sockets", why});
    return;
  }
  const auto words = words_of(*line);  // "NUMBER mem PAGES"
  const auto used = words.size() >= 3 ? number_of(words[2]) : std::nullopt;
  const auto most = number_of(three[2]);
  if (used && most) facts.memory = {{*used, *most}};
}

void read_connections(const file_tree& files, machine_facts& facts) {
  const auto used = files.read("/proc/sys/net/netfilter/nf_conntrack_count");
  if (used.error == ENOENT) return;
  const auto count = files.number("/proc/sys/net/netfilter/nf_conntrack_count");
  const auto most = files.number("/proc/sys/net/netfilter/nf_conntrack_max");
  if (!count || !most) {
    facts.hidden.push_back({"the table of connections", "/proc/sys/net/netfilter: " + reason(used.error)});
    return;
  }
  connection_table table{*count, *most};
  // A line of numbers in base 16 for each processor, below the names of their columns (man conntrack(8), --stats).
  const auto each = files.text("/proc/self/net/stat/nf_conntrack");
  const auto lines = lines_of(each ? *each : std::string_view{});
  const auto names = words_of(lines.empty() ? std::string_view{} : lines.front());
  for (std::size_t line = 1; line < lines.size(); ++line) {
    const auto values = words_of(lines[line]);
    for (std::size_t at = 0; at < std::min(names.size(), values.size()); ++at) {
      if (names[at] == "drop" || names[at] == "early_drop") table.drops += number_of(values[at], 16).value_or(0);
    }
  }
  facts.connections = table;
}

/// "Each line is a processor"; the second number is what did not fit into its backlog, in base 16
/// (net/core/net-procfs.c).
void read_backlog(const file_tree& files, machine_facts& facts) {
  const auto found = files.read("/proc/self/net/softnet_stat");
  if (found.error != 0) {
    facts.hidden.push_back({"what waits for the processors", "/proc/net/softnet_stat: " + reason(found.error)});
    return;
  }
  std::uint64_t drops = 0;
  for (const auto line : lines_of(found.text)) {
    const auto words = words_of(line);
    if (words.size() > 1) drops += number_of(words[1], 16).value_or(0);
  }
  facts.backlog_drops = drops;
}

void read_interfaces(const file_tree& files, machine_facts& facts) {
  const std::string folder = "/sys/class/net/";
  const auto names = files.names(folder);
  if (!names) {
    facts.hidden.push_back({"what network cards drop", "/sys/class/net may not be read here"});
    return;
  }
  for (const std::string& name : *names) {
    const std::string counts = folder + name + "/statistics/";
    const auto dropped = files.number(counts + "rx_dropped");
    if (!dropped) continue;  // no interface, such as bonding_masters
    facts.interfaces.push_back({name, files.number(counts + "rx_missed_errors").value_or(0),
                                files.number(counts + "rx_fifo_errors").value_or(0), *dropped});
  }
}

}  // namespace

machine_facts read_machine(const file_tree& files) {
  machine_facts facts;
  facts.largest_buffer = files.number("/proc/sys/net/core/rmem_max");
  if (!facts.largest_buffer) {
    facts.hidden.push_back({"the largest receive buffer", "net.core.rmem_max is not shown here"});
  }
  facts.uring_disabled = files.number("/proc/sys/kernel/io_uring_disabled");  // since Linux 6.6
  read_udp(files, facts);
  read_memory(files, facts);
  read_connections(files, facts);
  read_backlog(files, facts);
  read_interfaces(files, facts);
  const auto clock = files.text("/sys/devices/system/clocksource/clocksource0/current_clocksource");
  const auto words = words_of(clock ? *clock : std::string_view{});
  if (words.empty()) {
    facts.hidden.push_back({"the clock", "/sys/devices/system/clocksource is not shown here"});
  } else {
    facts.clock = words.front();
  }
  return facts;
}

}  // namespace udppump::doctor
