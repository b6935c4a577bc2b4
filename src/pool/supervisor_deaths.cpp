// How the parent learns of deaths, and what it does about them.

#include <algorithm>
#include <cstring>

#include "pool/duration_text.hpp"
#include "pool/supervisor.hpp"

namespace udppump::detail {

namespace {

using std::chrono::duration_cast;
using std::chrono::milliseconds;

}  // namespace

void supervisor::reap() {
  parts_.takes_over.reap();
  for (std::size_t at = 0; at < members_.size();) {
    if (const auto end = members_[at]->worker->ended()) {
      const auto dead = std::move(members_[at]);
      members_.erase(members_.begin() + static_cast<std::ptrdiff_t>(at));
      bury(*dead, *end);
    } else {
      ++at;
    }
  }
}

void supervisor::bury(member& dead, const worker_end& end) {
  worker_page& page = board_.page(dead.page);
  const auto lived = clock::now() - dead.started;
  const std::uint64_t served = page.handled.load(std::memory_order_relaxed);
  std::string told = "worker " + std::to_string(dead.number) + " (pid " + std::to_string(page.pid.load()) + ") " +
                     end.how() + " after " + duration_text(lived);
  if (parts_.start.keeps_pages()) told += " and " + std::to_string(served) + " datagrams";
  if (!end.words.empty()) told += ": " + end.words;
  pool_log::fields fields{{"worker", std::to_string(dead.number)},
                          {"pid", std::to_string(page.pid.load())},
                          {end.by_signal ? "signal" : "status", std::to_string(end.code)},
                          {"uptime_ms", std::to_string(duration_cast<milliseconds>(lived).count())},
                          {"served", std::to_string(served)}};

  const bool waits_for_another = parts_.redelivers != nullptr && parts_.redelivers->rescue(dead.page);
  if (waits_for_another) {
    for (const auto& one : members_) board_.notify(one->page);
  }
  if (reload_ && reload_->incoming == &dead) end_reload(false, "the new worker died before it served");

  const bool expected = dead.stopping && (dead.killed || !end.by_signal || end.code == SIGTERM);
  if (expected) {
    log_.info("worker-ended", told, std::move(fields));
  } else if (stopping_ || serving_as(dead.number) != nullptr) {
    log_.warning("worker-died", told, std::move(fields));
  } else {
    add(board_.header().restarts, 1);
    plan_restart(dead, end, told);
    const auto& at = places_[dead.number].start_at;
    const auto delay = at ? *at - clock::now() : clock::duration{0};
    const std::string then = !at                       ? "; not started again"
                             : delay < milliseconds{1} ? "; another is started"
                                                       : "; another is started in " + duration_text(delay);
    log_.warning("worker-died", told + then, std::move(fields));
    if (was_whole_ && !stopping_) parts_.service.status(status());
  }
  board_.release(dead.page);
  if (waits_for_another && stopping_) start_for_offers(dead.number);
}

/// The others may be gone already: one more worker takes what its predecessor held, and ends.
void supervisor::start_for_offers(std::size_t number) {
  try {
    ask_to_stop(start(number));
  } catch (const std::system_error& refused) {
    log_.error("start-failed", std::string{"a worker for what another held could not be started: "} + refused.what());
  }
}

void supervisor::plan_restart(const member& dead, const worker_end& end, const std::string& told) {
  place& here = places_[dead.number];
  const restart_policy& policy = options_.restart;
  const auto now = clock::now();
  const std::uint64_t served = board_.page(dead.page).handled.load(std::memory_order_relaxed);
  const bool was_well = now - dead.started >= policy.healthy_after || served >= policy.healthy_after_datagrams;
  here.short_lives = was_well ? 0 : here.short_lives + 1;
  here.unserved_lives = was_well || served != 0 ? 0 : here.unserved_lives + 1;
  if (here.unserved_lives >= policy.crash_limit || (end.hopeless && !was_whole_)) {
    std::string often;
    if (!end.hopeless) {
      often = "; " + std::to_string(here.unserved_lives) + " times in a row " +
              (parts_.start.keeps_pages() ? "without serving a datagram"
                                          : "within " + duration_text(policy.healthy_after) +
                                                "; a program has the socket as its descriptor 0, and receives from it "
                                                "until SIGTERM");
    }
    log_.error("crash-loop", "workers cannot be kept alive: " + told + often);
    end_with(end.hopeless && !end.by_signal && end.code > status_no_setup ? end.code
                                                                          : static_cast<int>(pool_result::crash_loop));
    return begin_stop("a crash loop", false);
  }
  if (here.short_lives == 0) {
    here.start_at = std::max<clock::time_point>(now, dead.started + policy.first_delay);
    return;
  }
  const clock::duration delay = policy.first_delay * (1u << std::min(here.short_lives - 1, 20u));
  here.start_at = now + std::min<clock::duration>(delay, policy.longest_delay);
}

void supervisor::restart() {
  const auto now = clock::now();
  for (std::size_t number = 0; number < places_.size(); ++number) {
    place& here = places_[number];
    if (!here.start_at || *here.start_at > now) continue;
    if (serving_as(number) != nullptr) {
      here.start_at.reset();  // a reload was quicker
      continue;
    }
    try {
      start(number);
    } catch (const std::system_error& refused) {
      const auto pause = std::max(options_.restart.longest_delay, milliseconds{100});
      here.start_at = now + pause;
      log_.error("start-failed", "worker " + std::to_string(number) + " could not be started: " + refused.what() +
                                     "; trying again in " + duration_text(pause));
    }
  }
}

void supervisor::enforce_deadlines() {
  const auto now = clock::now();
  for (const auto& one : members_) {
    if (one->killed || now < one->deadline) continue;
    const std::string who =
        "worker " + std::to_string(one->number) + " (pid " + std::to_string(board_.page(one->page).pid.load()) + ")";
    if (!one->stopping && (one->serving || !parts_.start.keeps_pages())) continue;
    if (one->stopping) {
      log_.warning("worker-killed", who + " did not stop in time and is killed; what it held is lost" +
                                        (parts_.redelivers != nullptr ? " unless another takes it" : ""));
      if (stopping_) end_with(static_cast<int>(pool_result::killed));
    } else {
      log_.error("worker-killed",
                 who + " did not begin to serve within " + duration_text(options_.start_timeout) + " and is killed");
    }
    one->killed = true;  // in a reload, threads too: it goes on without them
    if (one->worker->kill()) continue;
    if (!stopping_) {
      log_.warning("worker-left", who + " is a thread, and cannot be killed: it is left to finish");
      continue;
    }
    log_.error("killed", "a thread cannot be killed; the process ends");
    ::_exit(static_cast<int>(pool_result::killed));
  }
}

}  // namespace udppump::detail
