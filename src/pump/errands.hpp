#pragma once

#include <memory>
#include <utility>

#include "pump/worker_link.hpp"

namespace udppump::detail {

/// What a pool wants of a worker's group. Outside of a pool it wants nothing. On the group's thread.
class errands {
 public:
  explicit errands(std::shared_ptr<worker_link> link) noexcept : link_{std::move(link)} {}

  /// Null outside of a pool, and in the child of a fork.
  const std::shared_ptr<worker_link>& link() const noexcept { return link_; }
  void after_fork() noexcept { link_.reset(); }

  /// The pool's order to stop, once.
  bool stop_ordered() noexcept {
    if (!link_ || !link_->told_to_stop() || std::exchange(stopping_, true)) return false;
    link_->stopping();
    return true;
  }
  /// Once for each time that the parent asks to look at the sockets.
  bool look_ordered() noexcept { return link_ && link_->told_to_look(); }
  /// Whether one of these two would be true, or a datagram of a worker that died waits.
  bool has_news() const noexcept { return link_ && (link_->has_news() || (link_->told_to_stop() && !stopping_)); }
  /// No pump serves any more: if that was the pool's order, the worker's own call for it is made, once.
  void all_stopped() {
    if (!link_ || !stopping_) return;
    if (const auto call = std::exchange(link_->on_stop, nullptr)) call();
  }

  /// A round of turns begins; whether a datagram of a worker that died may wait.
  bool begin_round() noexcept {
    if (!link_) return false;
    link_->serving();
    return link_->has_offers();
  }
  /// All tickets of a pump are out, or one came back.
  void full(bool is_full) noexcept {
    if (!link_) return;
    if (!is_full) link_->look_for_offers();
    link_->full(is_full);
  }

 private:
  std::shared_ptr<worker_link> link_;
  bool stopping_ = false;
};

}  // namespace udppump::detail
