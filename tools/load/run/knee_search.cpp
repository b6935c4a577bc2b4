#include "load/run/knee_search.hpp"

#include <cmath>

namespace udppump::load {

std::string_view to_string(verdict seen) noexcept {
  switch (seen) {
    case verdict::good:
      return "good";
    case verdict::bad:
      return "too much";
    case verdict::invalid:
      return "not valid";
    case verdict::interrupted:
      return "interrupted";
    case verdict::target_gone:
      break;
  }
  return "the target went away";
}

verdict judge(const load_result& result, nanoseconds slo, const validity_limits& limits) noexcept {
  if (result.interrupted) return verdict::interrupted;
  if (result.icmp_errors > 0) return verdict::target_gone;
  const flaw found = flaw_of(result, limits);
  if (found != flaw::none && found != flaw::late) return verdict::invalid;
  if (!is_as_asked(result.asked_rate(), result.offered_rate(), limits.offered)) return verdict::invalid;
  if (result.percentile(99) <= slo) return verdict::good;
  return found == flaw::late ? verdict::invalid : verdict::bad;
}

knee find_knee(const knee_options& options, const std::function<verdict(double rate)>& measure) {
  knee found;
  const auto is_good = [&](double rate) {
    verdict seen = measure(rate);
    if (seen == verdict::bad || seen == verdict::invalid) seen = measure(rate);
    if (seen == verdict::good) {
      found.good = rate;
    } else if (seen == verdict::interrupted || seen == verdict::target_gone) {
      found.cut_short = true;
    } else {
      found.bad = rate;
      found.invalid = seen == verdict::invalid;
    }
    return seen == verdict::good;
  };
  double rate = options.first_rate;
  if (is_good(rate)) {
    while ((rate *= 2) <= options.highest_rate && is_good(rate)) continue;
  } else {
    while (!found.cut_short && (rate /= 2) >= options.lowest_rate && !is_good(rate)) continue;
  }
  if (found.good == 0 || found.bad == 0) return found;
  while (!found.cut_short && found.bad > found.good * options.precision) is_good(std::sqrt(found.good * found.bad));
  return found;
}

}  // namespace udppump::load
