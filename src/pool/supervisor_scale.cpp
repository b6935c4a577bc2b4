// The number of workers changes while the pool runs.
#include <stdexcept>

#include "pool/counted.hpp"
#include "pool/supervisor.hpp"

namespace udppump::detail {

void supervisor::scale(std::int64_t wanted, const std::string& asked_by) {
  const auto most = static_cast<std::int64_t>(options_.max_workers);
  std::string refusal;
  if (is_stopping() || drain_) {
    refusal = "the pool is told to stop";
  } else if (wanted < 1) {
    refusal = "at least one worker is needed; to stop all, send SIGTERM";
  } else if (wanted > most) {
    refusal = "there is room for " + std::to_string(most) +
              " at most; start the pool with a larger max_workers (exec: --max-workers)";
  } else {
    try {
      scale_to(static_cast<std::size_t>(wanted), asked_by);
    } catch (const std::invalid_argument& refused) {  // a lane would have no worker
      refusal = refused.what();
    }
  }
  if (!refusal.empty()) {
    provoked_log{log_}.warning("scale-refused", asked_by + " wants " + std::to_string(wanted) +
                                                    (wanted == 1 ? " worker" : " workers") + " instead of " +
                                                    std::to_string(places_.size()) + ": refused, as " + refusal);
  }
  board_.header().scale_orders.fetch_add(1, std::memory_order_release);  // what it led to is there
}

/// Throws std::invalid_argument, and has changed nothing then.
void supervisor::scale_to(std::size_t wanted, const std::string& asked_by) {
  const std::size_t before = places_.size();
  if (wanted == before) return;
  if (parts_.context.lanes.scale(options_.lanes, wanted)) lanes_.tell_workers();
  places_.resize(wanted, place{.plan = restart_plan{options_.restart}});
  for (std::size_t number = before; number < wanted; ++number) places_[number].start_at = clock::now();
  for (const auto& one : crew_.members()) {
    if (one->number < wanted) continue;
    one->replaces = false;  // no reload fails with it
    if (!one->stopping) crew_.ask_to_stop(*one);
  }
  if (reload_) reload_->steps.end_at(wanted);
  board_.set_workers(wanted);
  backlog_.set_workers(wanted);
  log_.notice("scaled",
              counted(wanted, "worker") + " from now on, instead of " + std::to_string(before) + ", for " + asked_by,
              {{"workers", std::to_string(wanted)}, {"before", std::to_string(before)}});
  if (phase_ == phase::serving) parts_.service.status(status());
}

}  // namespace udppump::detail
