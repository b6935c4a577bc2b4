#include "pump/meter.hpp"

namespace udppump::detail {

void meter::turn::read() noexcept {
  if (unread_ == 0) return;
  const auto now = clock::now();
  const auto receiving = received_before_ ? clock::duration{0} : sums_.receive_cost_ * (unread_ - received_outside_);
  const auto handled = now - read_at_ - receiving;
  sums_.handler_time_ += std::max(clock::duration{0}, handled);
  sums_.each_ = handled / unread_;
  sums_.quick_ = handled < unread_ * brief_handler;
  sums_.score_ =
      sums_.quick_ ? std::min(sums_.score_ + 1, best_score) : sums_.score_ - std::min(sums_.score_, cost_of_long);
  sums_.brief_in_a_row_ = sums_.quick_ ? std::min(sums_.brief_in_a_row_ + 1, enough_in_a_row) : 0;
  if (link_) link_->handled(lane_, unread_, handled);
  read_at_ = now;
  unread_ = received_outside_ = 0;
}

}  // namespace udppump::detail
