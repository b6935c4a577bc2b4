#include "pool/worker_setup.hpp"

#include <string>
#include <vector>

#include "sys/failure.hpp"
#include "sys/sys_process.hpp"

namespace udppump::detail {

namespace {

std::vector<int> usable_core_ids() {
  cpu_set_t mask;
  std::vector<int> ids;
  if (::sched_getaffinity(0, sizeof mask, &mask) != 0) return ids;
  for (int id = 0; id < CPU_SETSIZE; ++id) {
    if (CPU_ISSET(id, &mask)) ids.push_back(id);
  }
  return ids;
}

rlimit current_limit(int resource) {
  rlimit now{};
  if (::getrlimit(static_cast<__rlimit_resource>(resource), &now) != 0) {
    fail(errno, "getrlimit " + std::to_string(resource));
  }
  return now;
}

void set_nice(int level) {
  // Of the calling thread, on Linux (setpriority(2), "C library/kernel differences").
  if (::setpriority(PRIO_PROCESS, 0, level) != 0) {
    fail(errno, "nice " + std::to_string(level) + ": a level below the present one takes root or CAP_SYS_NICE");
  }
}

}  // namespace

void reserve_for_workers(const pool_options& options) {
  if (options.nice && *options.nice < ::getpriority(PRIO_PROCESS, 0)) set_nice(*options.nice);
  const bool threads = options.model == worker_model::threads;
  for (const resource_limit& wanted : options.limits) {
    rlimit now = current_limit(wanted.resource);
    if (threads) now.rlim_cur = wanted.soft;  // the process's own are the workers'
    if (wanted.hard <= now.rlim_max && !threads) continue;
    now.rlim_max = wanted.hard;
    if (const int set = sys::limit(wanted.resource, now); set < 0) {
      fail(set, "resource limit " + std::to_string(wanted.resource) +
                    ": raising the hard limit takes root or CAP_SYS_RESOURCE");
    }
  }
}

void set_up_worker(const pool_options& options, std::size_t number, bool thread) {
  if (options.nice) set_nice(*options.nice);
  if (options.pin) {
    const auto cores = usable_core_ids();
    if (cores.empty()) fail(EINVAL, "pin: the cores this process may use are not known");
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cores[number % cores.size()], &one);
    if (::sched_setaffinity(0, sizeof one, &one) != 0) fail(errno, "pin: sched_setaffinity");
  }
  if (thread) return;  // limits are the whole process's
  for (const resource_limit& wanted : options.limits) {
    const int set = sys::limit(wanted.resource, {wanted.soft, wanted.hard});
    if (set < 0) fail(set, "resource limit " + std::to_string(wanted.resource) + ": setrlimit");
  }
}

bool end_with(pid_t parent) noexcept {
  // Cleared by a change of user and by programs with the set-user-id bit (prctl(2)), so after the first and not for the
  // second.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  return ::getppid() == parent;
}

}  // namespace udppump::detail
