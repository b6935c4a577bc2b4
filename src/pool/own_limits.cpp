#include "pool/own_limits.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <iterator>
#include <string>

#include "sys/failure.hpp"
#include "sys/sys_process.hpp"
#include "udppump/resource_limit.hpp"

namespace udppump::detail {

namespace {

constexpr std::chrono::seconds interval{5};

/// Those that keep a parent from its work, or its next workers from living, which inherit them. The others leave both
/// alone.
constexpr int needed[] = {RLIMIT_AS, RLIMIT_CPU, RLIMIT_DATA, RLIMIT_FSIZE, RLIMIT_NOFILE, RLIMIT_NPROC, RLIMIT_STACK};

std::string in_words(rlim_t limit) { return limit == RLIM_INFINITY ? "unlimited" : std::to_string(limit); }

}  // namespace

own_limits::own_limits(const pool_log& log) : log_{log}, next_{clock::now() + interval} {
  for (const int resource : needed) {
    rlimit now{};
    if (sys::current_limit(resource, now) == 0) all_.push_back({.resource = resource, .wanted = now.rlim_cur});
  }
}

void own_limits::look(clock::time_point now) {
  next_ = now + interval;
  for (limit& one : all_) look_at(one);
}

void own_limits::look_at(limit& one) const {
  rlimit is{};
  if (sys::current_limit(one.resource, is) < 0 || is.rlim_cur >= one.wanted) return;
  const rlim_t found = is.rlim_cur;
  // The hard one too, if this process may.
  const rlimit both{.rlim_cur = one.wanted, .rlim_max = std::max<rlim_t>(one.wanted, is.rlim_max)};
  bool is_raised = sys::limit(one.resource, both) == 0;
  is.rlim_cur = is_raised ? both.rlim_cur : std::min<rlim_t>(one.wanted, is.rlim_max);
  if (!is_raised) is_raised = is.rlim_cur > found && sys::limit(one.resource, is) == 0;
  std::string then = "it is raised again";
  if (!is_raised || is.rlim_cur < one.wanted) {
    then = is_raised ? "only " + in_words(is.rlim_cur) + " is left to this process" : "it cannot be raised again";
    then += ": restart the pool";
  }
  log_.error("limit-lowered",
             "the resource limit " + std::string{name_of_resource(one.resource)} +
                 " of the pool's parent was lowered from " + in_words(one.wanted) + " to " + in_words(found) +
                 " by another process, as one of its user may do that, such as a worker (prlimit(2)); " + then,
             {}, std::size(needed));
}

void own_limits::note_failed_wait(int error, clock::time_point now) {
  look(now);
  log_.error("wait-failed",
             "poll: " + code_of(error).message() +
                 "; looking ten times a second instead. If a resource limit of this process was lowered "
                 "(prlimit --pid " +
                 std::to_string(sys::process_id()) + "), restart the pool",
             {}, 1);
}

}  // namespace udppump::detail
