#pragma once

#include <string>
#include <string_view>

#include "load/plan/clock.hpp"
#include "load/plan/random_stream.hpp"

namespace udppump::load {

enum class service_kind { constant, exponential, bimodal };

/// How long the server is to work for each request: a distribution. A value.
struct service_times {
  service_kind kind = service_kind::constant;
  nanoseconds mean{0};
  /// Of the bimodal distribution: two durations, and which share of all is the long one.
  nanoseconds short_time{0}, long_time{0};
  double long_share = 0;

  /// Written forms:
  ///   constant:1ms  exponential:1ms (its mean)
  ///   bimodal:1ms              the mean; 99.5% take half of it, 0.5% take 100.5 times of it
  ///   bimodal:500us,100ms,0.5% the short, the long, and how many are long
  /// Throws std::invalid_argument that quotes the text and says what was expected.
  static service_times parse(std::string_view text);
  std::string to_string() const;

  /// Whether there are short and long requests, to be told apart by what they ask for.
  bool has_classes() const noexcept { return kind == service_kind::bimodal && short_time < long_time; }
  bool is_long(nanoseconds asked) const noexcept { return has_classes() && asked > short_time; }
  /// What share of all service time the long ones have; 0 if there are none.
  double long_share_of_work() const noexcept;

  nanoseconds draw(random_stream& random) const noexcept;
};

}  // namespace udppump::load
