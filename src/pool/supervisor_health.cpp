// Workers that hang or grow, and whether the service serves at all.
#include <algorithm>
#include <random>

#include "pool/counted.hpp"
#include "pool/duration_text.hpp"
#include "pool/leftovers.hpp"
#include "pool/obituary.hpp"
#include "pool/supervisor.hpp"
#include "pool/worker_process.hpp"
#include "pool/worker_processes.hpp"

namespace udppump::detail {

namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

constexpr std::chrono::seconds between_renewals{1};
constexpr unsigned whole = 1000;

/// Of a thousand: up to `jitter` percent less than all.
unsigned drawn_share(unsigned jitter) {
  static thread_local std::minstd_rand chance{std::random_device{}()};
  return std::uniform_int_distribution<unsigned>{whole - jitter * (whole / 100), whole}(chance);
}

}  // namespace

void supervisor::look_after_workers(clock::time_point now) {
  const nanoseconds most = longest_without_sign();
  // This process has been stopped, or had no processor: what happened meanwhile it has not seen.
  if (most.count() != 0 && now - looked_after_at_ > most / 2) present_since_ = now;
  looked_after_at_ = now;
  if (now >= hung_look_at_) look_for_hung(now);
  if (untaken_) look_for_idle_programs(now);
  if (now >= renewal_at_) renew_one(now);
}

nanoseconds supervisor::longest_without_sign() const noexcept {
  return parts_.start.keeps_pages() ? nanoseconds{options_.handler_timeout} : parts_.hang_timeout;
}

void supervisor::look_for_hung(clock::time_point now) {
  const nanoseconds most = longest_without_sign();
  hung_look_at_ = clock::time_point::max();
  if (most.count() == 0) return;
  hung_look_at_ = now + most / 4;
  for (const auto& one : crew_.members()) {
    if (!one->serving || one->stopping || one->hung || one->killed) continue;
    std::optional<clock::time_point> since = one->fed_at;
    if (parts_.start.keeps_pages()) {
      // The worker's own account: what lies in the future is none.
      const std::uint64_t claimed = crew_.page_of(*one).handling_since.load(std::memory_order_relaxed);
      if (claimed != 0 && claimed <= nanoseconds_of(now)) since = clock::time_point{nanoseconds{claimed}};
    }
    if (!since) continue;
    since = std::max(*since, present_since_);
    if (now - *since >= most) {
      abort(*one, parts_.start.keeps_pages() ? "has been in its handler" : "has not said WATCHDOG=1", now - *since);
    } else {
      hung_look_at_ = std::min(hung_look_at_, *since + most);
    }
  }
}

/// Programs that do not say WATCHDOG=1, while datagrams wait. None that has begun to stop, or to be looked at so.
void supervisor::look_for_idle_programs(clock::time_point now) {
  bool is_fresh = false;
  for (const auto& one : crew_.members()) {
    if (!one->serving || one->stopping || one->hung || one->killed || one->fed_at) continue;
    const auto judged = [&] {
      return untaken_->judge(parts_.context.lanes.lanes_of(one->number), std::max(one->serving_since, present_since_),
                             parts_.hang_timeout, now);
    };
    auto stuck = judged();
    if (stuck && !std::exchange(is_fresh, true)) {  // something may have been taken since it was last looked at
      untaken_->look(now);
      stuck = judged();
    }
    if (!stuck) continue;
    abort(*one,
          doing_of_worker(one->worker->pid()) + "; it has taken nothing, nor has any other worker that serves " +
              stuck->where + ", although datagrams wait there,",
          stuck->time);
  }
}

void supervisor::abort(crew::member& one, const std::string& doing, nanoseconds time) {
  one.hung = true;
  const std::string what = name_of(one) + ' ' + doing + " for ";
  const bool aborts = one.worker->abort();
  board_.count(tally::hangs);
  log_.error("worker-hung",
             what + duration_text(time) +
                 (aborts ? ", and is aborted" : ", " + std::string{one.worker->cannot_be_killed_as()} + " and goes on"),
             {{"worker", std::to_string(one.number)},
              {"pid", std::to_string(one.worker->pid())},
              {"hung_ms", std::to_string(std::chrono::duration_cast<milliseconds>(time).count())}});
  if (aborts) {
    one.deadline = clock::now() + aborting_time;
  } else {
    one.deadline = clock::time_point::max();
  }
}

std::string supervisor::limit_reached_by(crew::member& one, clock::time_point now) const {
  const auto part = [&one](auto limit) { return limit / whole * one.share; };
  const auto lived = now - one.started;
  if (options_.max_lifetime.count() != 0 && lived >= nanoseconds{options_.max_lifetime} / whole * one.share) {
    return "has lived for " + duration_text(lived);
  }
  const std::uint64_t served = handled_by(crew_.page_of(one));
  if (options_.max_requests != 0 && served >= std::max<std::uint64_t>(1, options_.max_requests * one.share / whole)) {
    return "has served " + counted(served, "datagram");
  }
  if (options_.max_memory == 0 || now < one.weighed_from) return {};
  const auto limit = part(std::uint64_t{options_.max_memory});
  const auto began = clock::now();
  const memory_use memory = memory_of_worker(one.worker->pid(), limit);
  // A hundredth of the time at most.
  one.weighed_from = now + std::max<clock::duration>(between_renewals, (clock::now() - began) * 100);
  if (memory.bytes < limit) return {};
  constexpr std::uint64_t mebibyte = 1 << 20;
  return "has " + std::to_string(memory.bytes / mebibyte) + " MiB of memory" +
         (memory.processes > 1 ? " in " + std::to_string(memory.processes) + " processes" : "");
}

/// One at a time: the next one only when this one is replaced.
void supervisor::renew_one(clock::time_point now) {
  if (options_.max_lifetime.count() == 0 && options_.max_requests == 0 && options_.max_memory == 0) {
    renewal_at_ = clock::time_point::max();
    return;
  }
  constexpr int looks = 4;
  const auto soon = std::max<nanoseconds>(nanoseconds{options_.max_lifetime} / looks, milliseconds{10});
  renewal_at_ = now + (options_.max_lifetime.count() != 0 ? std::min<nanoseconds>(soon, between_renewals)
                                                          : nanoseconds{between_renewals});
  if (reload_ || drain_ || phase_ != phase::serving) return;
  for (const auto& one : crew_.members()) {
    if (!one->serving || one->stopping || one->hung || one->killed) continue;
    if (one->share == 0) one->share = drawn_share(options_.max_jitter);
    const std::string why = limit_reached_by(*one, now);
    if (why.empty()) continue;
    log_.notice("worker-renewed", name_of(*one) + ' ' + why + ", and is replaced");
    for (const auto& each : crew_.members()) each->replaces = each->has_proven_itself = false;
    reload_ = running_reload{.steps = reload::of_one(one->number), .began = now, .is_renewal = true};
    renewal_at_ = std::max<clock::time_point>(renewal_at_, now + milliseconds{100});
    return;
  }
}

/// For the watchdog: not if datagrams have waited since the last time it was asked, and nobody has taken any.
bool supervisor::does_serve() {
  const bool waits = phase_ == phase::serving && anything_waits(parts_.context.sockets.all());
  const std::uint64_t taken = board_.taken();
  // What programs take is not known.
  const bool is_stuck = parts_.start.keeps_pages() && waits && waited_before_ && taken == taken_before_;
  waited_before_ = waits;
  taken_before_ = taken;
  if (is_stuck && !is_stuck_) {
    log_.error("service-hung", "datagrams wait, and no worker has taken any for " +
                                   duration_text(parts_.service.watchdog_interval()) +
                                   ": the service manager's watchdog is not fed");
  }
  is_stuck_ = is_stuck;
  return !is_stuck;
}

}  // namespace udppump::detail
