#include "pump/group_core.hpp"
#include "wait/wait_set.hpp"

namespace udppump::detail {

bool group_core::serve(clock::time_point until) {
  if (errands_.begin_round() && !serve_offers()) return false;
  roster::round turns{pumps_};
  while (member* const one = turns.next()) {
    const bool is_of_later_lane = pumps_.has_lanes() && one->pump.socket().lane() != 0;
    // Of a worker that is busy the kernel takes no notice in an epoll; elsewhere it would wake it in vain.
    if (is_of_later_lane && chosen_.waiter->kind() != waiter_kind::epoll) {
      switch (leave_other_lanes(*one)) {
        case others::are_served:
          break;
        case others::have_more:
          return true;
        case others::forked:
          return false;
      }
      if (one->pump.over()) continue;
    }
    const turn_end end = turn_of(*one);
    if (end == turn_end::forked) return false;
    settle(*one, end);
    if (is_of_later_lane) break;  // what has come meanwhile to the lanes before it goes first
    if (pumps_.has_lanes() && end == turn_end::more) break;  // so does what is left in this one, before later ones
    if (!turns.is_last() && clock::now() >= until) break;
  }
  return true;
}

turn_end group_core::turn_of(member& one) {
  const auto buffer = buffer_;  // a handler may add a pump that needs a larger one
  try {
    return one.pump.turn({buffer.get(), buffer_size_}, scratch_, !one.leaving && chosen_.waiter->looks_when_armed());
  } catch (...) {
    if (!one.listed) settle(one, one.pump.resume());
    throw;
  }
}

/// A wake-up for a lane before may have come here already: what it was for must not wait behind the handler of `next`.
group_core::others group_core::leave_other_lanes(member& next) {
  auto result = others::are_served;
  const std::size_t lane = next.pump.socket().lane();
  try {
    pumps_.for_each([&](member& other) {
      if (!other.armed || other.watch || other.leaving || result == others::forked) return;
      disarm(other);
      turn_end end = turn_end::emptied;
      if (other.pump.socket().lane() < lane) end = turn_of(other);
      if (end == turn_end::forked) result = others::forked;
      if (end == turn_end::more) result = others::have_more;
      if (end == turn_end::emptied || end == turn_end::spare) {
        pumps_.make_ready(other);  // armed when the handler of `next` has returned
      } else {
        settle(other, end);
      }
    });
  } catch (...) {
    pumps_.make_ready(next);
    throw;
  }
  if (result == others::have_more) pumps_.make_ready(next);
  return result;
}

/// Datagrams whose worker died come before new ones.
bool group_core::serve_offers() {
  const auto link = errands_.link();
  const auto server_of = [this](int descriptor) {
    return pumps_.find([descriptor](const member& one) {
      return !one.is_withheld && !one.pump.over() && one.pump.has_room() && one.pump.socket().fd() == descriptor;
    });
  };
  while (kept_datagram* const kept = link->take_offer(server_of)) {
    const auto one = server_of(link->descriptor(*kept));
    const turn_end end = one->pump.turn_with(*kept, scratch_);
    if (end == turn_end::forked) return false;
    if (end == turn_end::over) remove(*one);
  }
  return true;
}

void group_core::settle(member& one, turn_end end) {
  if (end == turn_end::forked) return;
  if (one.pump.over() || one.leaving) return remove(one);
  switch (end) {
    case turn_end::more:
      return pumps_.make_ready(one);
    case turn_end::refused:
      return pause(one, refusal_pause);
    case turn_end::spare:
      // The waiter's alarm may be set for longer than that.
      if (!pumps_.has_pause_beyond(clock::now() + one.pump.options().stand_by)) {
        return pause(one, one.pump.options().stand_by);
      }
      return arm(one);
    case turn_end::full:
      disarm(one);
      if (pumps_.make_full(one)) errands_.full(true);
      return;
    default:
      return arm(one);
  }
}

void group_core::arm(member& one) {
  if (one.armed || one.is_withheld) return;
  one.armed_as.turn = ++arms_;
  const auto failed = chosen_.waiter->arm(one.armed_as, one.pump.socket().fd());
  if (!failed) {
    one.armed = true;
  } else if (failed == std::errc::not_enough_memory || failed == std::errc::no_space_on_device ||
             failed == std::errc::device_or_resource_busy) {
    pause(one, refusal_pause);
    one.pump.report_refusal(failed);
  } else {
    fail(one, failed);
  }
}

void group_core::disarm(member& one) noexcept {
  const bool armed = std::exchange(one.armed, false);
  if (one.armed_as.turn == 0 || guard_.mark().in_child()) return;
  if (armed) {
    chosen_.waiter->disarm(one.armed_as, one.pump.socket().fd());
  } else {
    chosen_.waiter->forget(one.armed_as.slot);
  }
}

void group_core::pause(member& one, std::chrono::nanoseconds time) {
  disarm(one);
  if (pumps_.pause(one, clock::now() + time)) chosen_.waiter->wake_after(time);
}

}  // namespace udppump::detail
