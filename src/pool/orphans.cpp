#include "pool/orphans.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "sys/failure.hpp"
#include "sys/process_tree.hpp"
#include "sys/sys_process.hpp"

namespace udppump::detail {

namespace {

constexpr std::chrono::milliseconds first_pause{1};
constexpr std::chrono::milliseconds longest_pause{100};
/// For those that start others faster than they can be killed.
constexpr std::chrono::seconds last_patience{3};

constexpr char own_folder[] = "/proc/self";

}  // namespace

orphans::orphans(const pool_log& log) : log_{log}, only_reaps_{sys::process_id() == 1} {
  std::vector<pid_t> present;
  const bool told = list_children(own_folder, present);
  const int adopts = sys::adopt_orphans(true);
  if (!told || adopts < 0) {
    log_.warning("orphans", told ? "prctl PR_SET_CHILD_SUBREAPER: " + code_of(adopts).message() +
                                       "; processes that workers leave behind are not ended"
                                 : "processes that workers leave behind are not ended: that requires /proc, and a "
                                   "kernel with CONFIG_PROC_CHILDREN");
  }
  not_ours_.insert(present.begin(), present.end());
  for (const pid_t task : std::set{sys::process_id(), sys::thread_id()}) {
    descriptor list = open_children(std::string{own_folder} + "/task/" + std::to_string(task));
    if (list) lists_.push_back(std::move(list));
  }
}

orphans::~orphans() { static_cast<void>(sys::adopt_orphans(false)); }

void orphans::worker_ended(pid_t session, clock::time_point until) {
  ended_[session] = until;
  hunts_ = true;
  next_ = clock::now();
  pause_ = first_pause;
}

void orphans::end_all(clock::time_point now) {
  hunts_ = true;
  next_ = now;
  gives_up_at_ = now + last_patience;
  for (const auto& [session, until] : ended_) gives_up_at_ = std::max(*gives_up_at_, until + last_patience);
}

std::vector<pid_t> orphans::children() const {
  std::vector<pid_t> all;
  if (!list_children(own_folder, all)) {
    for (const descriptor& list : lists_) read_children(list, all);
  }
  return all;
}

orphans::fate orphans::decide(pid_t one, pid_t session, const std::vector<pid_t>& known,
                              const std::vector<pid_t>& living) {
  const auto is_in = [](const std::vector<pid_t>& all, pid_t pid) {
    return std::binary_search(all.begin(), all.end(), pid);
  };
  if (is_in(known, one) || not_ours_.contains(one)) return fate::spared;
  if (sys::waitpid(one).pid != 0) {
    refused_.erase(one);
    return fate::reaped;
  }
  if (!hunts_ || refused_.contains(one) || is_in(living, session)) return fate::spared;
  if (ended_.contains(session)) return fate::awaited;
  if (only_reaps_ && !late_.contains(session)) return fate::spared;
  if (sys::kill(one, SIGKILL) != -EPERM) return fate::killed;
  refused_.insert(one);
  log_.warning("orphans", "process " + std::to_string(one) +
                              ", which a worker left behind, has become another user and cannot be killed");
  return fate::spared;
}

void orphans::forget_late_ones(clock::time_point now) {
  for (auto at = ended_.begin(); at != ended_.end();) {
    if (is_patient_ && now < at->second) {
      ++at;
      continue;
    }
    if (awaited_.contains(at->first)) late_.insert(at->first);
    at = ended_.erase(at);
  }
}

void orphans::look(std::vector<pid_t> known, std::vector<pid_t> living, clock::time_point now) {
  std::sort(known.begin(), known.end());
  std::sort(living.begin(), living.end());
  forget_late_ones(now);
  std::set<pid_t> awaited;
  std::set<pid_t> killed;
  bool reaped = false;
  for (const pid_t one : children()) {
    const pid_t session = sys::session_of(one);
    const fate what = decide(one, session, known, living);
    // Whose own children may have come after the list was made.
    reaped |= what == fate::reaped;
    if (what == fate::awaited) awaited.insert(session);
    if (what != fate::killed) continue;
    killed.insert(one);
    if (killed_.contains(one)) continue;
    ++all_killed_;
    was_late_ |= late_.contains(session);
  }
  if (!hunts_) return;
  awaited_ = std::move(awaited);
  killed_ = std::move(killed);
  if ((gives_up_at_ && now >= *gives_up_at_) || (!reaped && killed_.empty() && awaited_.empty()))
    return end_hunt(killed_.size());
  if (killed_.empty()) std::erase_if(ended_, [this](const auto& one) { return !awaited_.contains(one.first); });
  next_ = clock::time_point::max();
  for (const auto& [session, until] : ended_) next_ = std::min(next_, until);
  if (!reaped && killed_.empty()) return;
  next_ = std::min(next_, now + pause_);
  pause_ = std::min(2 * pause_, longest_pause);
}

void orphans::end_hunt(std::size_t left) {
  if (left > 0) {
    log_.error("orphans",
               std::to_string(left) + (left == 1 ? " process" : " processes") +
                   " that workers left behind cannot be ended in time, as they start others faster than "
                   "they are killed, or are held, and are left; end their control group (systemctl kill, cgroup.kill)");
  } else if (all_killed_ > 0) {
    log_.warning("orphans",
                 std::to_string(all_killed_) + (all_killed_ == 1 ? " process that a worker left behind was killed"
                                                                 : " processes that workers left behind were killed"));
  }
  ended_.clear();
  awaited_.clear();
  late_.clear();
  killed_.clear();
  all_killed_ = 0;
  hunts_ = false;
  next_ = clock::time_point::max();
}

}  // namespace udppump::detail
