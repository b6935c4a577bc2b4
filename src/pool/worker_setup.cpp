#include "pool/worker_setup.hpp"

#include <string>
#include <string_view>
#include <vector>

#include "sys/failure.hpp"
#include "sys/sys_process.hpp"

namespace udppump::detail {

namespace {

std::vector<int> usable_core_ids() {
  cpu_set_t mask;
  std::vector<int> ids;
  if (sys::cores(sizeof mask, mask) < 0) return ids;
  for (int id = 0; id < CPU_SETSIZE; ++id) {
    if (CPU_ISSET(id, &mask)) ids.push_back(id);
  }
  return ids;
}

/// "resource limit nofile".
std::string called(int resource) {
  const std::string_view name = name_of_resource(resource);
  return "resource limit " + (name.empty() ? std::to_string(resource) : std::string{name});
}

rlimit current_limit(int resource) {
  rlimit now{};
  if (const int told = sys::current_limit(resource, now); told < 0) {
    fail(told, "getrlimit: resource " + std::to_string(resource) + " is none of RLIMIT_...; setrlimit(2) lists them");
  }
  return now;
}

void set_nice(int level) {
  if (const int set = sys::set_nice(level); set < 0) {
    fail(set, "nice " + std::to_string(level), "a level below the present one requires root or CAP_SYS_NICE");
  }
}

}  // namespace

void reserve_for_workers(const pool_options& options) {
  if (options.nice && *options.nice < sys::nice()) set_nice(*options.nice);
  const bool threads = options.model == worker_model::threads;
  for (const resource_limit& wanted : options.limits) {
    rlimit now = current_limit(wanted.resource);
    if (threads) now.rlim_cur = wanted.soft;  // the process's own are the workers'
    if (wanted.hard <= now.rlim_max && !threads) continue;
    now.rlim_max = wanted.hard;
    if (const int set = sys::limit(wanted.resource, now); set < 0) {
      fail(set, called(wanted.resource), "raising the hard limit requires root or CAP_SYS_RESOURCE");
    }
  }
}

void set_up_worker(const pool_options& options, std::size_t number, bool thread) {
  if (options.nice) set_nice(*options.nice);
  if (options.pin) {
    const auto cores = usable_core_ids();
    if (cores.empty())
      fail(EINVAL,
           "pinning: the cores this process may use are not known; do not pin, or allow sched_getaffinity (a seccomp "
           "profile may forbid it)");
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cores[number % cores.size()], &one);
    if (const int set = sys::set_cores(one); set < 0)
      fail(set, "pinning: sched_setaffinity", "allow it (a seccomp profile may forbid it), or do not pin");
  }
  if (thread) return;  // limits are the whole process's
  for (const resource_limit& wanted : options.limits) {
    const int set = sys::limit(wanted.resource, {wanted.soft, wanted.hard});
    if (set < 0) {
      fail(set, called(wanted.resource),
           "the soft limit must not exceed the hard one, nor the hard one what is granted");
    }
  }
}

bool end_with_parent(pid_t parent, int lifeline) noexcept {
  // The first is cleared by a change of user, and for this process alone. The second is for what it starts as well, but
  // a program may close it.
  static_cast<void>(sys::signal_on_parents_end(SIGKILL));
  static_cast<void>(sys::signal_group_on_news(lifeline, SIGKILL));
  return sys::parent_id() == parent;
}

}  // namespace udppump::detail
