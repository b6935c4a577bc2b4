// Replacing workers, stopping them, and handing over to another parent.

#include <algorithm>

#include "pool/duration_text.hpp"
#include "pool/supervisor.hpp"

namespace udppump::detail {

void supervisor::begin_reload() {
  if (stopping_) return;
  if (reload_) {
    reload_->again = true;
    return;
  }
  reload_ = reloading{.began = clock::now()};
  parts_.service.reloading("reloading");
  log_.notice("reload-begun", "reloading: each worker is replaced, new before old");
}

void supervisor::continue_reload() {
  while (reload_ && !stopping_) {
    if (reload_->next == places_.size()) return end_reload(true, {});
    const std::size_t number = reload_->next;
    if (reload_->incoming == nullptr) {
      if (serving_as(number) == nullptr) {  // waits to be restarted, and will be new
        ++reload_->next;
        continue;
      }
      try {
        reload_->incoming = &start(number);
      } catch (const std::system_error& refused) {
        return end_reload(false, refused.what());
      }
      return;
    }
    if (!reload_->incoming->serving) return;
    bool old_left = false;
    for (const auto& one : members_) {
      if (one->number != number || one.get() == reload_->incoming) continue;
      if (!one->stopping) ask_to_stop(*one);
      old_left |= !one->killed;
    }
    if (old_left) return;
    reload_->incoming = nullptr;
    ++reload_->next;
  }
}

void supervisor::end_reload(bool whole, const std::string& why) {
  const reloading done = *reload_;
  reload_.reset();
  if (was_whole_) parts_.service.ready(status());
  if (whole) {
    add(board_.header().reloads, 1);
    log_.notice("reloaded", "reloaded " + std::to_string(places_.size()) + " workers in " +
                                duration_text(clock::now() - done.began));
  } else {
    log_.error("reload-failed", "the reload was given up at worker " + std::to_string(done.next) + ": " + why +
                                    "; the workers that are left serve on");
  }
  if (done.again) begin_reload();
}

void supervisor::ask_to_stop(member& one) {
  one.stopping = true;
  one.killed = false;  // a thread that a reload has left
  one.deadline = clock::now() + options_.stop_timeout;
  one.worker->ask_to_stop();
}

void supervisor::begin_stop(const std::string& why, bool handed_over) {
  if (stopping_) {
    if (std::exchange(handed_over_, false)) return;  // what was asked for is under way; asked once more: at once
    for (const auto& one : members_) one->deadline = std::min(one->deadline, clock::now());
    return;
  }
  stopping_ = true;
  was_handed_over_ = handed_over_ = handed_over;
  reload_.reset();
  parts_.takes_over.close("the pool that has the sockets was told to stop");
  if (!handed_over) parts_.service.stopping("stopping");
  log_.notice("stopping", why + ": stopping; workers finish what they hold");
  for (const auto& one : members_) {
    if (!one->stopping || one->killed) ask_to_stop(*one);
  }
}

void supervisor::heed_take_over() {
  if (const std::string why = parts_.takes_over.hear_predecessor(); !why.empty() && !stopping_) {
    log_.error("take-over-failed", "the pool that was to be taken over from says: " + why);
    end_with(static_cast<int>(pool_result::crash_loop));
    return begin_stop("the take-over has failed", false);
  }
  handed_sockets offered{.sockets = {}, .listener = parts_.takes_over.listener()};
  for (std::size_t at = 0; at < parts_.context.sockets.size(); ++at) {
    offered.sockets.push_back({parts_.context.sockets.all()[at].fd(), parts_.context.sockets.called()[at]});
  }
  const auto heir = parts_.takes_over.look(offered);
  if (!heir || stopping_) return;
  parts_.service.main_process(*heir, "pid " + std::to_string(*heir) + " has taken over");
  begin_stop("pid " + std::to_string(*heir) + " has taken over", true);
}

}  // namespace udppump::detail
