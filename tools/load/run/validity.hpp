#pragma once

#include <string_view>

#include "load/run/load_run.hpp"

/// Whether a run measured its target, or the program that measured and the machine under it.
namespace udppump::load {

struct validity_limits {
  /// The largest load_result::lag_share().
  double lag = 0.1;
  /// How far the load really offered may be from the one asked for, as a share of that.
  double offered = 0.1;
};

/// What makes a run say nothing about its target.
enum class flaw {
  none,
  /// Nothing was due in the time measured.
  nothing_sent,
  /// Requests could not be sent as fast as planned.
  gave_up,
  /// Requests left late; see load_result::lag_share().
  late,
  /// Answers were dropped at this program's own sockets.
  own_drops,
  /// Ids of requests without an answer had to be used again.
  ids_used_up,
  /// Requests were sent at another rate than asked for.
  other_rate,
  /// The services of a work server took another time than asked for.
  other_load,
  /// Those of the short requests did, which the load as a whole hardly shows.
  slow_short_services,
};

/// In few words, for a list: "requests left late".
std::string_view to_string(flaw which) noexcept;

/// Whether a load really offered, or a rate, is as far from the one asked for as is allowed, or less.
bool is_as_asked(double asked, double really, double limit) noexcept;

/// The worst flaw of a run by itself: all but other_load.
flaw flaw_of(const load_result& result, const validity_limits& limits) noexcept;

}  // namespace udppump::load
