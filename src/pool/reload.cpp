#include "pool/reload.hpp"

namespace udppump::detail {

reload::step reload::next(const seen& now) noexcept {
  if (number_ == workers_) return step::end;
  if (!new_one_started_ && now.is_manned) {
    new_one_started_ = true;
    return step::start_new;
  }
  if (new_one_started_) {
    if (!now.new_one_serves) return step::wait;
    if (now.old_one_serves) return step::stop_old;
    if (now.old_one_stops) return step::wait;
  }
  // Or nobody is there: who waits to be restarted will be new.
  new_one_started_ = false;
  ++number_;
  return step::go_on;
}

}  // namespace udppump::detail
