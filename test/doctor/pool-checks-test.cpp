// What doctor makes of the facts of a pool.

#include "doctor/pool_checks.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace {

using namespace udppump::doctor;
using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::IsEmpty;
using udppump::worker_state;

process_facts process(pid_t pid) {
  process_facts one;
  one.pid = pid;
  one.name = "server";
  one.state = 'S';
  one.most_files = 1000;
  one.core_size = unlimited;
  one.open_files = 10;
  one.program = "/usr/bin/server";
  one.processors = 2;
  return one;
}

worker_facts worker(std::size_t number) {
  worker_facts one;
  one.number = number;
  one.pid = static_cast<pid_t>(100 + number);
  one.state = worker_state::idle;
  one.taken = 10;
  one.process = process(one.pid);
  return one;
}

pool_facts sound() {
  pool_facts facts;
  facts.pid = 99;
  facts.workers_wanted = 2;
  facts.workers = {worker(0), worker(1)};
  socket_facts socket;
  socket.name = "127.0.0.1:53";
  socket.queued = 0;
  socket.room = 1000;
  socket.asked = 500;
  socket.granted = 500;
  socket.drops = 0;
  facts.sockets = {socket};
  facts.parent = process(99);
  return facts;
}

unit_facts sound_unit() {
  return {"dns.service", "notify", "main", "mixed", "on-failure", std::chrono::seconds{30}, 0, false};
}

/// The second look differs by what `change` does; two seconds later.
template <class Change>
findings after_change(Change change) {
  looks<pool_facts> both{sound(), sound(), 2};
  change(both.now);
  return check_pool(both);
}
/// Both looks see it.
template <class Change>
findings with(Change change) {
  looks<pool_facts> both{sound(), sound(), 2};
  change(both.before);
  change(both.now);
  return check_pool(both);
}

#define EXPECT_ONE(found, bad, name, words)       \
  ASSERT_EQ((found).size(), 1U);                  \
  EXPECT_EQ((found)[0].how_bad, bad);             \
  EXPECT_EQ((found)[0].check, name);              \
  EXPECT_THAT((found)[0].what, HasSubstr(words)); \
  EXPECT_FALSE((found)[0].cure.empty())

TEST(pool_checks, of_a_sound_pool_nothing_is_told) {
  EXPECT_THAT(with([](pool_facts&) {}), IsEmpty());
  EXPECT_THAT(with([](pool_facts& now) { now.unit = sound_unit(); }), IsEmpty());
}

TEST(pool_checks, what_is_not_known_is_not_guessed) {
  const auto forget = [](pool_facts& now) {
    now.parent.reset();
    now.sockets[0] = {.name = now.sockets[0].name};
    for (auto& one : now.workers) {
      one.process.reset();
      one.taken.reset();
    }
  };
  EXPECT_THAT(with(forget), IsEmpty());
  EXPECT_THAT(after_change(forget), IsEmpty());
}

TEST(pool_checks, a_pool_without_serving_workers_is_wrong_and_one_with_too_few_is_warned_of) {
  auto found = after_change([](pool_facts& now) { now.workers.clear(); });
  EXPECT_ONE(found, severity::wrong, "none-serving", "no worker serves");
  found = after_change([](pool_facts& now) { now.workers[0].state = worker_state::starting; });
  EXPECT_ONE(found, severity::warning, "few-serving", "1 of 2 workers serve");
}

TEST(pool_checks, a_stopped_worker_is_told_with_the_command_that_helps) {
  auto found = after_change([](pool_facts& now) { now.workers[1].process->state = 'T'; });
  EXPECT_ONE(found, severity::wrong, "stopped", "worker 1 (pid 101) is stopped");
  EXPECT_EQ(found[0].cure, "kill -CONT 101");
  found = after_change([](pool_facts& now) { now.workers[1].process->state = 't'; });
  EXPECT_ONE(found, severity::wrong, "traced", "debugger");
  found = after_change([](pool_facts& now) { now.parent->state = 'T'; });
  EXPECT_ONE(found, severity::wrong, "stopped", "parent");
  found = after_change([](pool_facts& now) {
    for (auto& one : now.workers) one.process->state = 'T';
  });
  ASSERT_EQ(found.size(), 3U);
  EXPECT_EQ(found[0].check, "none-serving");
}

TEST(pool_checks, waiting_for_a_disk_and_a_zombie_are_told_only_if_they_last) {
  EXPECT_THAT(after_change([](pool_facts& now) { now.workers[0].process->state = 'D'; }), IsEmpty());
  auto found = with([](pool_facts& now) { now.workers[0].process->state = 'D'; });
  EXPECT_ONE(found, severity::warning, "waits-for-disk", "worker 0");
  EXPECT_THAT(after_change([](pool_facts& now) { now.workers[0].process->state = 'Z'; }), IsEmpty());
  found = with([](pool_facts& now) { now.workers[0].process->state = 'Z'; });
  EXPECT_ONE(found, severity::wrong, "zombie", "worker 0");
}

TEST(pool_checks, a_long_handler_is_warned_of_and_is_wrong_if_all_are_in_one) {
  const auto is_long = [](worker_facts& one) {
    one.state = worker_state::handling;
    one.handling_for = 12s;
  };
  EXPECT_THAT(with([](pool_facts& now) { now.workers[0].handling_for = 4900ms; }), IsEmpty());
  auto found = with([&](pool_facts& now) { is_long(now.workers[0]); });
  EXPECT_ONE(found, severity::warning, "long-handler", "worker 0 (pid 100) has been in its handler for 12 s");
  found = with([&](pool_facts& now) {
    is_long(now.workers[0]);
    is_long(now.workers[1]);
  });
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].how_bad, severity::wrong);
  found = after_change([](pool_facts& now) { ++now.hangs; });
  EXPECT_ONE(found, severity::wrong, "hangs", "1 worker hung");
}

TEST(pool_checks, deaths_now_are_wrong_and_earlier_ones_a_note) {
  auto found = after_change([](pool_facts& now) { now.restarts = 3; });
  EXPECT_ONE(found, severity::wrong, "workers-die", "3 workers died just now");
  found = with([](pool_facts& now) { now.restarts = 3; });
  EXPECT_ONE(found, severity::note, "workers-died", "3 workers died since");
  found = after_change([](pool_facts& now) { now.poisoned = 1; });
  EXPECT_ONE(found, severity::wrong, "poisoned", "1 datagram");
}

TEST(pool_checks, a_buffer_smaller_than_asked_is_told_with_the_number_that_helps) {
  const auto found = with([](pool_facts& now) {
    now.sockets[0].asked = 4 << 20;
    now.sockets[0].granted = 212'992;
  });
  EXPECT_ONE(found, severity::warning, "receive-buffer", "asked 4 MiB, granted 208 KiB");
  EXPECT_THAT(found[0].cure, HasSubstr("net.core.rmem_max=4194304"));
}

TEST(pool_checks, drops_now_are_wrong_and_earlier_ones_a_note) {
  auto found = after_change([](pool_facts& now) { now.sockets[0].drops = 2'468; });
  EXPECT_ONE(found, severity::wrong, "drops", "127.0.0.1:53: the kernel drops 1,234 datagrams a second");
  found = with([](pool_facts& now) { now.sockets[0].drops = 5; });
  EXPECT_ONE(found, severity::note, "dropped", "has dropped 5 datagrams");
}

TEST(pool_checks, a_queue_that_stays_half_full_or_is_old_is_warned_of) {
  EXPECT_THAT(after_change([](pool_facts& now) { now.sockets[0].queued = 900; }), IsEmpty());
  auto found = with([](pool_facts& now) {
    now.sockets[0].queued = 500;
    for (auto& one : now.workers) one.state = worker_state::handling;
  });
  EXPECT_ONE(found, severity::warning, "queue", "50% full");
  found = with([](pool_facts& now) { now.sockets[0].oldest_waits = 700ms; });
  EXPECT_ONE(found, severity::warning, "queue", "waited for 700 ms");
}

TEST(pool_checks, an_idle_worker_beside_a_queue_is_told_of) {
  const auto waits = [](pool_facts& now) {
    now.sockets[0].queued = 100;
    now.workers[0].state = worker_state::handling;
  };
  auto found = with(waits);
  EXPECT_ONE(found, severity::warning, "idle-beside-queue", "worker 1 (pid 101) takes nothing");
  looks<pool_facts> takes{sound(), sound(), 1};
  waits(takes.before);
  waits(takes.now);
  takes.now.workers[1].taken = 11;
  EXPECT_THAT(check_pool(takes), IsEmpty());
}

TEST(pool_checks, what_workers_drop_is_told) {
  auto found = after_change([](pool_facts& now) { now.expired = 10; });
  EXPECT_ONE(found, severity::wrong, "expired", "5 datagrams a second");
  found = after_change([](pool_facts& now) { now.limited = 10; });
  EXPECT_ONE(found, severity::note, "limited", "5 datagrams a second");
}

TEST(pool_checks, a_stranger_on_the_port_is_named) {
  const auto found =
      with([](pool_facts& now) { now.sockets[0].strangers = {"\"other (pid 7)\" of user 0 (inode 9)"}; });
  EXPECT_ONE(found, severity::wrong, "stranger", "\"other (pid 7)\" of user 0");
}

TEST(pool_checks, another_way_of_waiting_is_a_note_once) {
  const auto found = with([](pool_facts& now) {
    for (auto& one : now.workers) one.waiter_fallback = "io_uring_setup: Operation not permitted; using thread";
  });
  EXPECT_ONE(found, severity::note, "waiter", "Operation not permitted");
}

TEST(pool_checks, too_many_workers_are_a_note_and_too_few_a_warning_if_a_queue_is_long) {
  auto found = with([](pool_facts& now) {
    for (std::size_t number = 2; number < 9; ++number) now.workers.push_back(worker(number));
  });
  EXPECT_ONE(found, severity::note, "many-workers", "9 workers on 2 cores");
  const auto one_for_two = [](pool_facts& now) { now.workers.pop_back(), now.workers_wanted = 1; };
  EXPECT_THAT(with(one_for_two), IsEmpty());
  found = after_change([&](pool_facts& now) {
    one_for_two(now);
    now.sockets[0].drops = 2;
  });
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].check, "drops");
  EXPECT_EQ(found[1].check, "few-workers");
  found = with([&](pool_facts& now) { now.group.cores = 0.25; });
  EXPECT_ONE(found, severity::note, "many-workers", "on 0.25 cores");
}

TEST(pool_checks, throttling_now_is_wrong_and_earlier_a_note) {
  auto found = after_change([](pool_facts& now) { now.group.throttled = 3; });
  EXPECT_ONE(found, severity::wrong, "throttled", "3 times just now");
  found = with([](pool_facts& now) { now.group.throttled = 3; });
  EXPECT_ONE(found, severity::note, "was-throttled", "3 times since");
}

TEST(pool_checks, memory_is_told_when_nearly_used_up_swapped_or_killed_for) {
  auto found = with([](pool_facts& now) { now.group.memory = 900, now.group.most_memory = 1000; });
  EXPECT_ONE(found, severity::warning, "memory", "900 bytes of the 1000 bytes");
  found = after_change([](pool_facts& now) { now.group.memory_kills = 1; });
  EXPECT_ONE(found, severity::wrong, "memory-kills", "a process");
  found = with([](pool_facts& now) { now.workers[0].process->swapped = 2048; });
  EXPECT_ONE(found, severity::note, "swapped", "2 KiB");
  found = after_change([](pool_facts& now) { now.workers[0].process->major_faults = 20; });
  EXPECT_ONE(found, severity::warning, "page-faults", "10 times a second");
}

TEST(pool_checks, limits_are_told) {
  auto found = with([](pool_facts& now) { now.parent->open_files = 800; });
  EXPECT_ONE(found, severity::warning, "open-files", "800 of the 1,000 files");
  found = with([](pool_facts& now) { now.parent->most_files = unlimited; });
  EXPECT_THAT(found, IsEmpty());
  found = with([](pool_facts& now) {
    for (auto& one : now.workers) one.process->core_size = 0;
  });
  EXPECT_ONE(found, severity::note, "no-core", "leave no core file");
}

TEST(pool_checks, a_program_that_was_replaced_is_a_note_with_the_signal_that_helps) {
  auto found = with([](pool_facts& now) {
    now.parent->program_is_gone = true;
    for (auto& one : now.workers) one.process->program_is_gone = true;
  });
  EXPECT_ONE(found, severity::note, "old-parent", "/usr/bin/server");
  EXPECT_THAT(found[0].cure, HasSubstr("kill -USR2 99"));
  found = with([](pool_facts& now) {
    for (auto& one : now.workers) one.process->program = "/usr/bin/answer", one.process->program_is_gone = true;
  });
  EXPECT_ONE(found, severity::note, "old-workers", "/usr/bin/answer");
  EXPECT_THAT(found[0].cure, HasSubstr("kill -HUP 99"));
}

TEST(pool_checks, a_pid_file_that_names_another_is_warned_of) {
  EXPECT_THAT(with([](pool_facts& now) { now.pid_file = "/run/a", now.pid_file_content = "99\n"; }), IsEmpty());
  EXPECT_THAT(with([](pool_facts& now) { now.pid_file = "/run/a"; }), IsEmpty());
  auto found = with([](pool_facts& now) { now.pid_file = "/run/a", now.pid_file_content = "98\n"; });
  EXPECT_ONE(found, severity::warning, "pid-file", "names process 98");
  found = with([](pool_facts& now) { now.pid_file = "/run/a", now.pid_file_content = ""; });
  EXPECT_ONE(found, severity::warning, "pid-file", "names no process");
}

TEST(pool_checks, a_unit_is_looked_through) {
  const auto unit = [](auto change) {
    return with([&](pool_facts& now) {
      now.unit = sound_unit();
      change(*now.unit);
    });
  };
  auto found = unit([](unit_facts& one) { one.notify_access = "none"; });
  EXPECT_ONE(found, severity::wrong, "unit-notify", "dns.service: NotifyAccess=none");
  EXPECT_THAT(found[0].cure, HasSubstr("systemctl edit dns.service"));
  found = unit([](unit_facts& one) { one.notify_access = "all"; });
  EXPECT_ONE(found, severity::warning, "unit-notify", "a worker may speak");
  found = unit([](unit_facts& one) { one.type = "simple"; });
  EXPECT_ONE(found, severity::note, "unit-type", "Type=simple");
  found = unit([](unit_facts& one) { one.watchdog = 0us; });
  EXPECT_ONE(found, severity::note, "unit-watchdog", "no watchdog");
  found = unit([](unit_facts& one) { one.watchdog = 500ms; });
  EXPECT_ONE(found, severity::warning, "unit-watchdog", "500 ms");
  found = unit([](unit_facts& one) { one.kill_mode = "process"; });
  EXPECT_ONE(found, severity::warning, "unit-kill-mode", "KillMode=process");
  found = unit([](unit_facts& one) { one.restart = "no"; });
  EXPECT_ONE(found, severity::note, "unit-restart", "Restart=no");
  found = unit([](unit_facts& one) { one.restarts = 2; });
  EXPECT_ONE(found, severity::warning, "unit-restarts", "2 times");
  found = unit([](unit_facts& one) { one.needs_reload = true; });
  EXPECT_ONE(found, severity::note, "unit-changed", "changed");
}

}  // namespace
