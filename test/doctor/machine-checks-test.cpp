// What doctor makes of the facts of a machine.

#include "doctor/machine_checks.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace {

using namespace udppump::doctor;
using testing::HasSubstr;
using testing::IsEmpty;

machine_facts sound() {
  machine_facts facts;
  facts.largest_buffer = 4 << 20;
  facts.uring_disabled = 0;
  facts.udp = {7, 8, 9};
  facts.memory = {10, 1000};
  facts.connections = {100, 1000, 5};
  facts.backlog_drops = 3;
  facts.interfaces = {{"eth0", 1, 2, 3}};
  facts.clock = "tsc";
  return facts;
}

/// The second look differs by what `change` does; two seconds later.
template <class Change>
findings after_change(Change change) {
  looks<machine_facts> both{sound(), sound(), 2};
  change(both.now);
  return check_machine(both);
}

#define EXPECT_ONE(found, bad, name, words)       \
  ASSERT_EQ((found).size(), 1U);                  \
  EXPECT_EQ((found)[0].how_bad, bad);             \
  EXPECT_EQ((found)[0].check, name);              \
  EXPECT_THAT((found)[0].what, HasSubstr(words)); \
  EXPECT_FALSE((found)[0].cure.empty())

TEST(machine_checks, of_a_sound_machine_nothing_is_told) {
  EXPECT_THAT(after_change([](machine_facts&) {}), IsEmpty());
}

TEST(machine_checks, what_is_not_known_is_not_guessed) {
  EXPECT_THAT(check_machine(looks<machine_facts>{{}, {}, 1}), IsEmpty());
  EXPECT_THAT(check_machine(looks<machine_facts>{sound(), {}, 1}), IsEmpty());
  EXPECT_THAT(check_machine(looks<machine_facts>{{}, sound(), 1}), IsEmpty());
}

TEST(machine_checks, a_small_limit_of_receive_buffers_is_a_note) {
  const auto found = after_change([](machine_facts& now) { now.largest_buffer = 212'992; });
  EXPECT_ONE(found, severity::note, "receive-buffer-limit", "rmem_max is 208 KiB");
}

TEST(machine_checks, what_the_kernel_drops_now_is_told_and_not_what_it_dropped_before) {
  auto found = after_change([](machine_facts& now) { now.udp->buffer_errors += 2'469; });
  EXPECT_ONE(found, severity::warning, "udp-drops", "1,235 datagrams a second");
  found = after_change([](machine_facts& now) { now.udp->checksum_errors += 1; });
  EXPECT_ONE(found, severity::warning, "checksums", "1 datagram a second");
  found = after_change([](machine_facts& now) { now.udp->memory_errors += 20; });
  EXPECT_ONE(found, severity::wrong, "udp-memory", "no memory left");
  // A count that begins anew has not grown.
  EXPECT_THAT(after_change([](machine_facts& now) { now.udp = {0, 0, 0}; }), IsEmpty());
}

TEST(machine_checks, memory_that_is_nearly_full_is_told_before_it_is) {
  EXPECT_THAT(after_change([](machine_facts& now) { now.memory->used = 799; }), IsEmpty());
  auto found = after_change([](machine_facts& now) { now.memory->used = 800; });
  EXPECT_ONE(found, severity::warning, "udp-memory", "800 of the 1,000 pages");
  found = after_change([](machine_facts& now) { now.memory->used = 1000; });
  EXPECT_ONE(found, severity::wrong, "udp-memory", "udp_mem");
}

TEST(machine_checks, a_table_of_connections_is_told_of_when_nearly_full_full_or_dropping) {
  EXPECT_THAT(after_change([](machine_facts& now) { now.connections->used = 799; }), IsEmpty());
  auto found = after_change([](machine_facts& now) { now.connections->used = 800; });
  EXPECT_ONE(found, severity::warning, "connection-table", "nearly full: 800 of 1,000");
  EXPECT_THAT(found[0].cure, HasSubstr("notrack"));
  found = after_change([](machine_facts& now) { now.connections->used = 1000; });
  EXPECT_ONE(found, severity::wrong, "connection-table", "is full");
  found = after_change([](machine_facts& now) { now.connections->drops += 10; });
  EXPECT_ONE(found, severity::wrong, "connection-table", "drops 5 packets a second");
}

TEST(machine_checks, what_is_lost_before_any_socket_is_told_with_where) {
  auto found = after_change([](machine_facts& now) { *now.backlog_drops += 4; });
  EXPECT_ONE(found, severity::wrong, "backlog", "2 packets a second");
  found = after_change([](machine_facts& now) { now.interfaces[0].missed += 2; });
  EXPECT_ONE(found, severity::wrong, "card-ring", "eth0");
  EXPECT_THAT(found[0].cure, HasSubstr("ethtool -G eth0"));
  found = after_change([](machine_facts& now) { now.interfaces[0].fifo += 2; });
  EXPECT_ONE(found, severity::wrong, "card-ring", "1 packet a second");
  found = after_change([](machine_facts& now) { now.interfaces[0].dropped += 2; });
  EXPECT_ONE(found, severity::warning, "card-drops", "eth0");
  EXPECT_THAT(after_change([](machine_facts& now) { now.interfaces.push_back({"new0", 9, 9, 9}); }), IsEmpty());
}

TEST(machine_checks, a_dear_clock_and_a_forbidden_ring_are_told) {
  for (const char* const cheap : {"tsc", "kvm-clock", "arch_sys_counter", "hyperv_clocksource_tsc_page"}) {
    EXPECT_THAT(after_change([&](machine_facts& now) { now.clock = cheap; }), IsEmpty());
  }
  auto found = after_change([](machine_facts& now) { now.clock = "hpet"; });
  EXPECT_ONE(found, severity::warning, "clock", "hpet");
  found = after_change([](machine_facts& now) { now.uring_disabled = 2; });
  EXPECT_ONE(found, severity::note, "io-uring", "forbidden to all (");
  found = after_change([](machine_facts& now) { now.uring_disabled = 1; });
  EXPECT_ONE(found, severity::note, "io-uring", "all but root");
}

}  // namespace
