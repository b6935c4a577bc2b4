// What doctor reads, from files that are laid out as the kernel's are, and what it prints.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "doctor/machine_facts.hpp"
#include "doctor/pool_facts.hpp"
#include "doctor/process_facts.hpp"
#include "doctor/report.hpp"
#include "doctor/unit_facts.hpp"
#include "doctor/wording.hpp"
#include "support/private_folder.hpp"

namespace {

using namespace udppump::doctor;
using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;

class planted {
 public:
  void has(const std::string& path, const std::string& content) const {
    const std::filesystem::path file{folder_ / path};
    std::filesystem::create_directories(file.parent_path());
    std::ofstream{file} << content;
  }
  void links(const std::string& path, const std::string& target) const {
    const std::filesystem::path file{folder_ / path};
    std::filesystem::create_directories(file.parent_path());
    std::filesystem::create_symlink(target, file);
  }
  file_tree files() const {
    const std::string root = folder_ / "";
    return file_tree{root.substr(0, root.find_last_not_of('/') + 1)};
  }

 private:
  private_folder folder_;
};

TEST(doctor_facts, a_machine_is_read) {
  const planted one;
  one.has("proc/sys/net/core/rmem_max", "212992\n");
  one.has("proc/sys/kernel/io_uring_disabled", "2\n");
  one.has("proc/self/net/snmp",
          "Ip: A B\nIp: 1 2\nUdp: InDatagrams RcvbufErrors InCsumErrors MemErrors\nUdp: 100 7 8 9\nUdpLite: A\n");
  one.has("proc/self/net/snmp6", "Ip6InReceives \t1\nUdp6RcvbufErrors               \t10\nUdp6MemErrors \t1\n");
  one.has("proc/self/net/sockstat", "sockets: used 5\nTCP: inuse 1 mem 2\nUDP: inuse 3 mem 88\nUDPLITE: inuse 0\n");
  one.has("proc/sys/net/ipv4/udp_mem", "100\t200\t300\n");
  one.has("proc/sys/net/netfilter/nf_conntrack_count", "10\n");
  one.has("proc/sys/net/netfilter/nf_conntrack_max", "20\n");
  one.has("proc/self/net/stat/nf_conntrack", "entries drop early_drop\n0000000a 00000010 00000001\n0000000a 2 0\n");
  one.has("proc/self/net/softnet_stat", "018652df 0000000a 0000000c\n01bd0b50 00000001 00000012\n");
  one.has("sys/class/net/eth0/statistics/rx_dropped", "3\n");
  one.has("sys/class/net/eth0/statistics/rx_missed_errors", "1\n");
  one.has("sys/class/net/eth0/statistics/rx_fifo_errors", "2\n");
  one.has("sys/class/net/bonding_masters", "\n");
  one.has("sys/devices/system/clocksource/clocksource0/current_clocksource", "hpet\n");
  const machine_facts facts = read_machine(one.files());
  EXPECT_TRUE(facts.hidden.empty()) << facts.hidden.front().what;
  EXPECT_EQ(facts.largest_buffer, 212'992U);
  EXPECT_EQ(facts.uring_disabled, 2U);
  ASSERT_TRUE(facts.udp && facts.memory && facts.connections);
  EXPECT_EQ(facts.udp->buffer_errors, 17U);
  EXPECT_EQ(facts.udp->checksum_errors, 8U);
  EXPECT_EQ(facts.udp->memory_errors, 10U);
  EXPECT_EQ(facts.memory->used, 88U);
  EXPECT_EQ(facts.memory->most, 300U);
  EXPECT_EQ(facts.connections->used, 10U);
  EXPECT_EQ(facts.connections->most, 20U);
  EXPECT_EQ(facts.connections->drops, 16U + 1 + 2);
  EXPECT_EQ(facts.backlog_drops, 11U);
  ASSERT_EQ(facts.interfaces.size(), 1U);
  EXPECT_EQ(facts.interfaces[0].name, "eth0");
  EXPECT_EQ(facts.interfaces[0].missed, 1U);
  EXPECT_EQ(facts.interfaces[0].fifo, 2U);
  EXPECT_EQ(facts.interfaces[0].dropped, 3U);
  EXPECT_EQ(facts.clock, "hpet");
}

TEST(doctor_facts, of_a_machine_that_shows_nothing_all_is_said_to_be_hidden) {
  const planted one;
  const machine_facts facts = read_machine(one.files());
  EXPECT_FALSE(facts.udp || facts.memory || facts.backlog_drops || facts.largest_buffer);
  // No table of connections is no secret: most machines have none.
  EXPECT_EQ(facts.hidden.size(), 6U);
  for (const unseen& each : facts.hidden) EXPECT_FALSE(each.why.empty()) << each.what;
}

TEST(doctor_facts, odd_files_are_read_without_harm) {
  const planted one;
  one.has("proc/self/net/snmp", "Udp: InDatagrams RcvbufErrors\nUdp: 1\nUdp:");
  one.has("proc/self/net/sockstat", "UDP: inuse");
  one.has("proc/sys/net/ipv4/udp_mem", "1 2");
  one.has("proc/self/net/softnet_stat", "\n\nx\n");
  one.has("proc/sys/net/netfilter/nf_conntrack_count", "");
  one.has("sys/devices/system/clocksource/clocksource0/current_clocksource", "");
  const machine_facts facts = read_machine(one.files());
  EXPECT_EQ(facts.backlog_drops, 0U);
  EXPECT_FALSE(facts.memory || facts.connections);
  one.has("proc/5/stat", "5 (a");
  EXPECT_FALSE(read_process(one.files(), 5));
  one.has("proc/5/stat", "5 (a) S 1");
  EXPECT_FALSE(read_process(one.files(), 5));
}

TEST(doctor_facts, a_process_is_read_whatever_it_calls_itself) {
  constexpr char started[] = "udppump\0exec\0--pid-file=/run/a\0--\0b\0--pid-file=/run/c\0";
  const planted one;
  one.has("proc/7/stat", "7 (a) T 1) S) T 1 7 7 0 -1 4194560 100 0 42 0 1 1 0 0 20 0 1 0 1 1 1\n");
  one.has("proc/7/status", "Name:\ta) T 1) S\nVmSwap:\t      12 kB\nCpus_allowed:\tff\nCpus_allowed_list:\t0-2,7\n");
  one.has("proc/7/limits",
          "Limit                     Soft Limit           Hard Limit           Units     \n"
          "Max core file size        0                    unlimited            bytes     \n"
          "Max open files            1024                 524288               files     \n");
  one.has("proc/7/cmdline", std::string{started, sizeof started - 1});
  one.links("proc/7/fd/0", "/dev/null");
  one.links("proc/7/fd/3", "socket:[4711]");
  one.links("proc/7/exe", "/usr/bin/udppump (deleted)");
  one.links("proc/7/ns/net", "net:[1]");
  const auto facts = read_process(one.files(), 7);
  ASSERT_TRUE(facts);
  EXPECT_EQ(facts->name, "a) T 1) S");
  EXPECT_EQ(facts->state, 'T');
  EXPECT_EQ(facts->major_faults, 42U);
  EXPECT_EQ(facts->swapped, 12U * 1024);
  EXPECT_EQ(facts->processors, 4U);
  EXPECT_EQ(facts->core_size, 0U);
  EXPECT_EQ(facts->most_files, 1024U);
  EXPECT_EQ(facts->open_files, 2U);
  ASSERT_TRUE(facts->sockets);
  EXPECT_THAT(*facts->sockets, ElementsAre(4711U));
  EXPECT_EQ(facts->program, "/usr/bin/udppump");
  EXPECT_TRUE(facts->program_is_gone);
  EXPECT_EQ(facts->network, "net:[1]");
  EXPECT_EQ(option_value(facts->arguments, "--pid-file"), "/run/a");
  EXPECT_FALSE(option_value(facts->arguments, "--take-over"));
  EXPECT_FALSE(read_process(one.files(), 8));
}

TEST(doctor_facts, control_groups_are_read_with_those_above) {
  const planted one;
  one.has("proc/self/mountinfo", "25 22 0:22 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
  one.has("proc/7/cgroup", "0::/system.slice/dns.service/workers\n");
  one.has("sys/fs/cgroup/system.slice/dns.service/workers/cpu.stat", "usage_usec 5\nnr_throttled 2\n");
  one.has("sys/fs/cgroup/system.slice/dns.service/cpu.stat", "usage_usec 5\nnr_throttled 9\nthrottled_usec 1\n");
  one.has("sys/fs/cgroup/system.slice/dns.service/cpu.max", "150000 100000\n");
  one.has("sys/fs/cgroup/system.slice/dns.service/memory.max", "1000\n");
  one.has("sys/fs/cgroup/system.slice/dns.service/memory.current", "900\n");
  one.has("sys/fs/cgroup/system.slice/dns.service/memory.events", "oom 1\noom_kill 3\n");
  one.has("sys/fs/cgroup/system.slice/memory.max", "max\n");
  one.has("sys/fs/cgroup/system.slice/memory.current", "5000\n");
  const group_facts facts = read_groups(one.files(), 7);
  EXPECT_EQ(facts.throttled, 9U);
  EXPECT_EQ(facts.cores, 1.5);
  EXPECT_EQ(facts.memory, 900U);
  EXPECT_EQ(facts.most_memory, 1000U);
  EXPECT_EQ(facts.memory_kills, 3U);
  EXPECT_EQ(facts.unit, "dns.service");
}

TEST(doctor_facts, a_unit_is_read_as_systemctl_prints_it) {
  const unit_facts facts = parse_unit(
      "Type=notify\nRestart=on-failure\nNotifyAccess=main\nWatchdogUSec=1min 30s\nNRestarts=2\nKillMode=mixed\n"
      "Id=dns.service\nNeedDaemonReload=yes\n");
  EXPECT_EQ(facts.name, "dns.service");
  EXPECT_EQ(facts.type, "notify");
  EXPECT_EQ(facts.notify_access, "main");
  EXPECT_EQ(facts.kill_mode, "mixed");
  EXPECT_EQ(facts.restart, "on-failure");
  EXPECT_EQ(facts.watchdog, 90s);
  EXPECT_EQ(facts.restarts, 2U);
  EXPECT_TRUE(facts.needs_reload);
  EXPECT_EQ(parse_unit("WatchdogUSec=infinity\n").watchdog, 0s);
  EXPECT_EQ(parse_unit("WatchdogUSec=0\n").watchdog, 0s);
  EXPECT_EQ(parse_unit("WatchdogUSec=\xff\n").watchdog, 0s);
}

TEST(doctor_report, the_worst_comes_first_and_decides_the_exit_code) {
  report all;
  EXPECT_EQ(exit_code_of(all), 0);
  EXPECT_EQ(text_of(all), "nothing is wrong with this machine; no pool was found\n");
  all.hidden = {{"pools of other users", "why"}};
  EXPECT_EQ(text_of(all),
            "not looked at: pools of other users: why\n"
            "nothing is wrong in what was looked at of this machine; no pool was found\n");
  all.hidden.clear();
  all.parts.push_back({"pool 7", {{severity::note, "a", "A", "B"}}});
  EXPECT_EQ(exit_code_of(all), 0);
  EXPECT_EQ(text_of(all), "note: pool 7: A; B\nnothing is wrong with 1 pool, or with this machine\n");
  all.parts.push_back({{}, {{severity::warning, "c", "C\n\x1b[1m", "D"}}});
  EXPECT_EQ(exit_code_of(all), 3);
  all.parts[0].found.push_back({severity::wrong, "e", "E", "F"});
  all.hidden = {{"the clock", "why"}, {"the clock", "why"}};
  EXPECT_EQ(exit_code_of(all), 4);
  EXPECT_EQ(text_of(all),
            "wrong: pool 7: E; F\nwarning: C\\x0a\\x1b[1m; D\nnote: pool 7: A; B\n"
            "not looked at: the clock: why\n");
  const auto told = nlohmann::json::parse(json_of(all));
  EXPECT_EQ(told["findings"].size(), 3U);
  EXPECT_EQ(told["findings"][0]["check"], "e");
  EXPECT_EQ(told["findings"][0]["pool"], "pool 7");
  EXPECT_EQ(told["findings"][1].contains("pool"), false);
  EXPECT_EQ(told["not_looked_at"].size(), 1U);
  EXPECT_EQ(told["exit_code"], 4);
}

TEST(doctor_report, numbers_are_for_people) {
  EXPECT_EQ(number_text(1'234'567), "1,234,567");
  EXPECT_EQ(number_text(999), "999");
  EXPECT_EQ(bytes_text(212'992), "208 KiB");
  EXPECT_EQ(bytes_text(4 << 20), "4 MiB");
  EXPECT_EQ(bytes_text(1536), "1.5 KiB");
  EXPECT_EQ(rate_text(1, "packet", 1.5), "1 packet a second");
  EXPECT_EQ(rate_text(0, "packet", 1), "0 packets a second");
  EXPECT_EQ(time_text(90s), "90 s");
  EXPECT_EQ(time_text(150ms), "150 ms");
  EXPECT_EQ(time_text(600s), "10 min");
}

}  // namespace
