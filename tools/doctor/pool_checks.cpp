#include "doctor/pool_checks.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "doctor/wording.hpp"

namespace udppump::doctor {

namespace {

using std::chrono::seconds;

/// A handler that takes longer than this is slower than most clients wait.
constexpr seconds long_handler{5};
constexpr double nearly_full = 0.8, rather_full = 0.5;

double share(std::uint64_t part, std::uint64_t all) {
  return all == 0 ? 0 : static_cast<double>(part) / static_cast<double>(all);
}

bool serves(const worker_facts& one) {
  return one.state != worker_state::starting && one.state != worker_state::stopping;
}
bool is_stopped(const worker_facts& one) {
  return one.process && (one.process->state == 'T' || one.process->state == 't');
}

std::string name_of(const worker_facts& one) { return fmt::format("worker {} (pid {})", one.number, one.pid); }

template <class Facts, class Same>
const Facts* find(const std::vector<Facts>& among, Same same) {
  const auto found = std::find_if(among.begin(), among.end(), same);
  return found == among.end() ? nullptr : &*found;
}
/// The same one, as it was.
const worker_facts* before(const looks<pool_facts>& pool, const worker_facts& now) {
  return find(pool.before.workers, [&](const worker_facts& one) { return one.pid == now.pid; });
}
const socket_facts* before(const looks<pool_facts>& pool, const socket_facts& now) {
  return find(pool.before.sockets, [&](const socket_facts& one) { return one.name == now.name; });
}

std::uint64_t grown_drops(const looks<pool_facts>& pool, const socket_facts& now) {
  const socket_facts* const then = before(pool, now);
  return then && then->drops && now.drops ? grown(*then->drops, *now.drops) : 0;
}

}  // namespace

findings check_serving(const looks<pool_facts>& pool) {
  const auto& workers = pool.now.workers;
  const auto serving = static_cast<std::size_t>(std::count_if(workers.begin(), workers.end(), serves));
  const auto stopped = static_cast<std::size_t>(std::count_if(
      workers.begin(), workers.end(), [](const worker_facts& one) { return serves(one) && is_stopped(one); }));
  if (serving == stopped) {
    const std::string what = serving == 0 ? "no worker serves" : "no worker serves: all are stopped";
    return {{severity::wrong, "none-serving", what, "the pool's log tells why"}};
  }
  if (serving >= pool.now.workers_wanted) return {};
  return {{severity::warning, "few-serving",
           fmt::format("{} of {} serve", serving, counted(pool.now.workers_wanted, "worker")),
           "the pool's log tells why"}};
}

findings check_processes(const looks<pool_facts>& pool) {
  findings found;
  const auto look = [&](const process_facts& one, const process_facts* then, const std::string& who, severity bad) {
    switch (one.state) {
      case 'T':
        found.push_back({bad, "stopped", who + " is stopped", fmt::format("kill -CONT {}", one.pid)});
        break;
      case 't':
        found.push_back({bad, "traced", who + " is held by a debugger", "let it go on, or detach the debugger"});
        break;
      case 'D':
        // Once is ordinary: it waits for a disk.
        if (then && then->state == 'D') {
          found.push_back({severity::warning, "waits-for-disk",
                           who + " waits in the kernel, uninterruptibly, for a disk or a network file system",
                           fmt::format("cat /proc/{}/stack shows where", one.pid)});
        }
        break;
      case 'Z':
        if (then && then->state == 'Z') {
          found.push_back({severity::wrong, "zombie", who + " has ended, and the parent has not noticed",
                           "look whether the parent is stopped, or report a bug"});
        }
        break;
      default:
        break;
    }
  };
  if (pool.now.parent) {
    look(*pool.now.parent, pool.before.parent ? &*pool.before.parent : nullptr, "the pool's parent", severity::wrong);
  }
  for (const worker_facts& one : pool.now.workers) {
    if (!one.process) continue;
    const worker_facts* const then = before(pool, one);
    look(*one.process, then && then->process ? &*then->process : nullptr, name_of(one), severity::wrong);
  }
  return found;
}

findings check_hangs(const looks<pool_facts>& pool) {
  findings found;
  std::size_t hanging = 0, serving = 0;
  for (const worker_facts& one : pool.now.workers) {
    serving += serves(one) ? 1 : 0;
    if (!one.handling_for || *one.handling_for < long_handler) continue;
    ++hanging;
    found.push_back(
        {severity::warning, "long-handler",
         fmt::format("{} has been in its handler for {}", name_of(one), time_text(*one.handling_for)),
         "look what it waits for (gdb -p, or /proc/PID/stack); handler_timeout has such a worker replaced"});
  }
  if (hanging != 0 && hanging == serving) {
    for (finding& one : found) one.how_bad = severity::wrong;
  }
  const auto replaced = grown(pool.before.hangs, pool.now.hangs);
  if (replaced != 0) {
    found.push_back({severity::wrong, "hangs", fmt::format("{} hung just now", counted(replaced, "worker")),
                     "the pool's log tells what each was doing"});
  }
  return found;
}

findings check_deaths(const looks<pool_facts>& pool) {
  findings found;
  const auto died = grown(pool.before.restarts, pool.now.restarts);
  if (died != 0) {
    found.push_back({severity::wrong, "workers-die", fmt::format("{} died just now", counted(died, "worker")),
                     "the pool's log tells of what"});
  } else if (pool.now.restarts != 0) {
    found.push_back({severity::note, "workers-died",
                     fmt::format("{} died since the pool began", counted(pool.now.restarts, "worker")),
                     "the pool's log tells of what"});
  }
  if (const auto poisoned = grown(pool.before.poisoned.value_or(0), pool.now.poisoned.value_or(0))) {
    found.push_back({severity::wrong, "poisoned",
                     fmt::format("{} killed the workers that took them", counted(poisoned, "datagram")),
                     "redelivery::poison_file keeps them; sender_quarantine locks their senders out"});
  }
  return found;
}

findings check_buffers(const looks<pool_facts>& pool) {
  findings found;
  for (const socket_facts& one : pool.now.sockets) {
    if (!one.asked || !one.granted || *one.granted >= *one.asked) continue;
    found.push_back({severity::warning, "receive-buffer",
                     fmt::format("{}: receive buffer: asked {}, granted {}", one.name, bytes_text(*one.asked),
                                 bytes_text(*one.granted)),
                     fmt::format("sysctl -w net.core.rmem_max={}, and start the pool anew", *one.asked)});
  }
  return found;
}

findings check_drops(const looks<pool_facts>& pool) {
  findings found;
  for (const socket_facts& one : pool.now.sockets) {
    const auto lost = grown_drops(pool, one);
    const std::string buffer = one.granted ? fmt::format(" ({})", bytes_text(*one.granted)) : "";
    if (lost != 0) {
      found.push_back(
          {severity::wrong, "drops",
           fmt::format("{}: the kernel drops {}, as the receive buffer is full{}", one.name,
                       rate_text(lost, "datagram", pool.seconds), buffer),
           "more workers, or quicker ones; a larger receive buffer (--receive-buffer) is for bursts alone"});
    } else if (one.drops && *one.drops != 0) {
      found.push_back({severity::note, "dropped",
                       fmt::format("{}: the kernel has dropped {} since the socket was made", one.name,
                                   counted(*one.drops, "datagram")),
                       "none just now; the pool's log has when"});
    }
  }
  return found;
}

findings check_queues(const looks<pool_facts>& pool) {
  findings found;
  for (const socket_facts& one : pool.now.sockets) {
    const socket_facts* const then = before(pool, one);
    if (grown_drops(pool, one) != 0) continue;  // told by check_drops()
    if (then && one.queued && then->queued && one.room && share(*one.queued, *one.room) >= rather_full &&
        share(*then->queued, *one.room) >= rather_full) {
      found.push_back({severity::warning, "queue",
                       fmt::format("{}: the receive buffer is {:.0f}% full, and was so a moment before", one.name,
                                   100 * share(*one.queued, *one.room)),
                       "more workers, or quicker ones: the next burst will not fit"});
    } else if (one.oldest_waits && *one.oldest_waits >= std::chrono::milliseconds{500}) {
      found.push_back({severity::warning, "queue",
                       fmt::format("{}: the oldest datagram has waited for {}", one.name, time_text(*one.oldest_waits)),
                       "more workers, or quicker ones; max_age (of programs --max-wait) drops what is too late"});
    }
  }
  return found;
}

findings check_stranded(const looks<pool_facts>& pool) {
  const auto waits = [](const pool_facts& facts) {
    return std::any_of(facts.sockets.begin(), facts.sockets.end(),
                       [](const socket_facts& one) { return one.queued && *one.queued != 0; });
  };
  findings found;
  if (!waits(pool.before) || !waits(pool.now)) return found;
  for (const worker_facts& one : pool.now.workers) {
    const worker_facts* const then = before(pool, one);
    if (!then || !one.taken || one.taken != then->taken || is_stopped(one)) continue;
    if (one.state != worker_state::idle || then->state != worker_state::idle) continue;
    found.push_back({severity::warning, "idle-beside-queue",
                     fmt::format("{} takes nothing, though datagrams wait", name_of(one)),
                     "its event loop may be busy with something else: look at the loop's other work"});
  }
  return found;
}

findings check_discarded(const looks<pool_facts>& pool) {
  findings found;
  const auto expired = grown(pool.before.expired.value_or(0), pool.now.expired.value_or(0));
  if (expired != 0) {
    found.push_back({severity::wrong, "expired",
                     fmt::format("workers drop {}, as they have waited longer than max_age",
                                 rate_text(expired, "datagram", pool.seconds)),
                     "more comes than is served: more workers, or quicker ones"});
  }
  const auto limited = grown(pool.before.limited.value_or(0), pool.now.limited.value_or(0));
  if (limited != 0) {
    found.push_back({severity::note, "limited",
                     fmt::format("workers drop {} of clients that send more than they may",
                                 rate_text(limited, "datagram", pool.seconds)),
                     "that is what client_limit and client_share are for"});
  }
  return found;
}

findings check_strangers(const looks<pool_facts>& pool) {
  findings found;
  for (const socket_facts& one : pool.now.sockets) {
    for (const std::string& who : one.strangers) {
      found.push_back(
          {severity::wrong, "stranger",
           fmt::format("{}: {} has a socket on the same port, and gets part of what arrives", one.name, who),
           "end that process; without --reuse-port no other socket may be bound there"});
    }
  }
  return found;
}

findings check_waiters(const looks<pool_facts>& pool) {
  findings found;
  for (const worker_facts& one : pool.now.workers) {
    if (one.waiter_fallback.empty()) continue;
    // "TRIED: REASON; CURE; using KIND": the same of all workers.
    found.push_back({severity::note, "waiter", "workers do not wait as they would first: " + one.waiter_fallback,
                     "it serves; the other way needs fewer threads or switches"});
    break;
  }
  return found;
}

findings check_cores(const looks<pool_facts>& pool) {
  const auto& now = pool.now;
  if (!now.parent || now.parent->processors == 0) return {};
  double cores = static_cast<double>(now.parent->processors);
  if (now.group.cores) cores = std::min(cores, *now.group.cores);
  const auto workers = static_cast<double>(now.workers.size());
  const std::string both =
      fmt::format("{} on {:g} {}", counted(now.workers.size(), "worker"), cores, cores == 1 ? "core" : "cores");
  if (workers > 4 * cores) {
    return {{severity::note, "many-workers", both, "right if handlers wait for something; else fewer are quicker"}};
  }
  const bool is_behind = std::any_of(now.sockets.begin(), now.sockets.end(), [&](const socket_facts& one) {
    return grown_drops(pool, one) != 0 || (one.queued && one.room && share(*one.queued, *one.room) >= rather_full);
  });
  if (!is_behind || workers >= cores) return {};
  return {{severity::warning, "few-workers", both + ", and the queue is long", "--workers, or `udppump scale`"}};
}

findings check_throttling(const looks<pool_facts>& pool) {
  const auto times = grown(pool.before.group.throttled, pool.now.group.throttled);
  const std::string share_of = pool.now.group.cores ? fmt::format(" of {:g} cores", *pool.now.group.cores) : "";
  if (times != 0) {
    return {{severity::wrong, "throttled",
             fmt::format("the control group has used up its share{} of the processors {} just now, and all wait",
                         share_of, counted(times, "time")),
             "raise cpu.max (CPUQuota= of the unit, the limit of the container)"}};
  }
  if (pool.now.group.throttled == 0) return {};
  return {{severity::note, "was-throttled",
           fmt::format("the control group has used up its share{} of the processors {} since it was made", share_of,
                       counted(pool.now.group.throttled, "time")),
           "raise cpu.max (CPUQuota= of the unit, the limit of the container)"}};
}

findings check_memory(const looks<pool_facts>& pool) {
  findings found;
  const group_facts& group = pool.now.group;
  const std::string raise =
      "raise memory.max (MemoryMax= of the unit, the limit of the container), or --max-memory "
      "has workers replaced that grow";
  if (const auto kills = grown(pool.before.group.memory_kills, group.memory_kills)) {
    found.push_back({severity::wrong, "memory-kills",
                     fmt::format("the kernel killed {} of the control group for want of memory just now",
                                 kills == 1 ? "a process" : "processes"),
                     raise});
  } else if (group.memory && group.most_memory && share(*group.memory, *group.most_memory) >= nearly_full) {
    found.push_back({severity::warning, "memory",
                     fmt::format("the control group has {} of the {} that it may have", bytes_text(*group.memory),
                                 bytes_text(*group.most_memory)),
                     raise});
  }
  std::uint64_t swapped = 0, faults = 0;
  for (const worker_facts& one : pool.now.workers) {
    if (!one.process) continue;
    swapped += one.process->swapped;
    const worker_facts* const then = before(pool, one);
    if (then && then->process) faults += grown(then->process->major_faults, one.process->major_faults);
  }
  if (faults != 0) {
    found.push_back({severity::warning, "page-faults",
                     fmt::format("workers wait for the disk {}: their memory is not there (major faults)",
                                 rate_text(faults, "time", pool.seconds)),
                     "more memory, or less swapping (MemorySwapMax=0)"});
  } else if (swapped != 0) {
    found.push_back({severity::note, "swapped", bytes_text(swapped) + " of the workers' memory is swapped out",
                     "more memory, or less swapping (MemorySwapMax=0)"});
  }
  return found;
}

findings check_limits(const looks<pool_facts>& pool) {
  findings found;
  const auto look = [&](const process_facts& one, const std::string& who) {
    if (!one.most_files || !one.open_files || *one.most_files == unlimited) return;
    if (share(*one.open_files, *one.most_files) < nearly_full) return;
    found.push_back({severity::warning, "open-files",
                     fmt::format("{} has {} of the {} that it may have open", who, number_text(*one.open_files),
                                 counted(*one.most_files, "file")),
                     "--limit nofile=, or LimitNOFILE= of the unit"});
  };
  if (pool.now.parent) look(*pool.now.parent, "the pool's parent");
  const process_facts* without_core = nullptr;
  for (const worker_facts& one : pool.now.workers) {
    if (!one.process) continue;
    look(*one.process, name_of(one));
    if (one.process->core_size == 0U) without_core = &*one.process;
  }
  if (without_core != nullptr) {
    found.push_back({severity::note, "no-core", "workers that crash or hang leave no core file (the limit is 0)",
                     "--limit core=unlimited, or LimitCORE=infinity of the unit"});
  }
  return found;
}

findings check_programs(const looks<pool_facts>& pool) {
  findings found;
  const auto& parent = pool.now.parent;
  if (parent && parent->program_is_gone) {
    found.push_back({severity::note, "old-parent",
                     fmt::format("the pool runs from a file that was replaced or removed ({})", parent->program),
                     fmt::format("kill -USR2 {} has the new one take over", parent->pid)});
  }
  const worker_facts* const old = find(pool.now.workers, [&](const worker_facts& one) {
    return one.process && one.process->program_is_gone && (!parent || one.process->program != parent->program);
  });
  if (old != nullptr) {
    found.push_back({severity::note, "old-workers",
                     fmt::format("workers run from a file that was replaced or removed ({})", old->process->program),
                     fmt::format("kill -HUP {} replaces them, and nothing is lost", pool.now.pid)});
  }
  return found;
}

findings check_pid_file(const looks<pool_facts>& pool) {
  const auto& now = pool.now;
  if (now.pid_file.empty() || !now.pid_file_content) return {};
  const auto words = words_of(*now.pid_file_content);
  const auto told = words.empty() ? std::nullopt : number_of<pid_t>(words.front());
  if (told == now.pid) return {};
  return {{severity::warning, "pid-file",
           told ? fmt::format("the pid file {} names process {}, and not this pool", now.pid_file, *told)
                : fmt::format("the pid file {} names no process", now.pid_file),
           "it is filled when all workers serve; if they do, it was changed: start the pool anew"}};
}

findings check_unit(const looks<pool_facts>& pool) {
  findings found;
  if (!pool.now.unit) return found;
  const unit_facts& unit = *pool.now.unit;
  const auto add = [&](severity bad, std::string_view check, const std::string& what, const std::string& cure) {
    found.push_back({bad, check, unit.name + ": " + what, cure + ", by systemctl edit " + unit.name});
  };
  const bool is_told = unit.type == "notify" || unit.type == "notify-reload";
  const bool is_watched = unit.watchdog.count() != 0;
  if ((is_told || is_watched) && unit.notify_access == "none") {
    add(severity::wrong, "unit-notify", "NotifyAccess=none: systemd hears neither READY=1 nor WATCHDOG=1",
        "set NotifyAccess=main");
  } else if (unit.notify_access == "all") {
    add(severity::warning, "unit-notify", "NotifyAccess=all: a worker may speak for the pool", "set NotifyAccess=main");
  }
  if (!is_told) {
    add(severity::note, "unit-type", fmt::format("Type={}: systemd takes it for started before it serves", unit.type),
        "set Type=notify");
  }
  if (!is_watched) {
    add(severity::note, "unit-watchdog", "no watchdog: nobody notices if the pool hangs", "set WatchdogSec=30");
  } else if (unit.watchdog < seconds{2}) {
    add(severity::warning, "unit-watchdog",
        fmt::format("WatchdogSec is {}: a short stall of the machine ends the service", time_text(unit.watchdog)),
        "set WatchdogSec=30");
  }
  if (unit.kill_mode == "none" || unit.kill_mode == "process") {
    add(severity::warning, "unit-kill-mode",
        fmt::format("KillMode={}: what workers leave behind goes on after the service", unit.kill_mode),
        "set KillMode=mixed");
  }
  if (unit.restart == "no") {
    add(severity::note, "unit-restart", "Restart=no: a pool that ends stays away", "set Restart=on-failure");
  }
  if (unit.restarts != 0) {
    found.push_back({severity::warning, "unit-restarts",
                     fmt::format("{}: systemd has started it again {}", unit.name, counted(unit.restarts, "time")),
                     "journalctl -u " + unit.name + " tells why"});
  }
  if (unit.needs_reload) {
    found.push_back({severity::note, "unit-changed", unit.name + ": its file was changed since systemd read it",
                     "systemctl daemon-reload"});
  }
  return found;
}

findings check_pool(const looks<pool_facts>& pool) {
  findings all;
  for (const auto check : {check_serving, check_processes, check_hangs, check_deaths, check_buffers, check_drops,
                           check_queues, check_stranded, check_discarded, check_strangers, check_waiters, check_cores,
                           check_throttling, check_memory, check_limits, check_programs, check_pid_file, check_unit}) {
    std::ranges::move(check(pool), std::back_inserter(all));
  }
  return all;
}

}  // namespace udppump::doctor
