#include "load/run/validity.hpp"

#include <cmath>

namespace udppump::load {

std::string_view to_string(flaw which) noexcept {
  switch (which) {
    case flaw::none:
      return "nothing is wrong";
    case flaw::nothing_sent:
      return "no request was due";
    case flaw::gave_up:
      return "requests could not be sent as planned";
    case flaw::late:
      return "requests left late";
    case flaw::own_drops:
      return "answers were dropped at the client's own sockets";
    case flaw::ids_used_up:
      return "ids of unanswered requests were used again";
    case flaw::other_rate:
      return "requests left at another rate than asked for";
    case flaw::slow_short_services:
      return "services of short requests took longer than asked for";
    case flaw::other_load:
      break;
  }
  return "the load really offered was too far from the one asked for";
}

bool is_as_asked(double asked, double really, double limit) noexcept {
  return std::isinf(limit) || std::abs(really - asked) <= limit * asked;
}

flaw flaw_of(const load_result& result, const validity_limits& limits) noexcept {
  if (result.gave_up) return flaw::gave_up;
  if (result.counts.sent + result.counts.unsent == 0) return flaw::nothing_sent;
  if (result.receive_drops > 0) return flaw::own_drops;
  if (result.counts.reused > 0) return flaw::ids_used_up;
  if (result.lag_share() > limits.lag) return flaw::late;
  if (!is_as_asked(result.asked_rate(), result.offered_rate(), limits.offered)) return flaw::other_rate;
  return flaw::none;
}

}  // namespace udppump::load
