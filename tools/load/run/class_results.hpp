#pragma once

#include <cstdint>
#include <optional>

#include "load/plan/service_times.hpp"
#include "load/run/histogram.hpp"

namespace udppump::load {

/// Latencies as multiples of the requests' own service times, at least to three digits. They add up as histograms do.
class slowdowns {
 public:
  /// A service of no time says nothing, and is not counted.
  void add(nanoseconds latency, nanoseconds service) noexcept;
  void merge(const slowdowns& other) noexcept { thousandths_.merge(other.thousandths_); }
  /// As histogram::percentile(); infinity for one without an answer.
  double percentile(double percent, std::uint64_t missing = 0) const noexcept;

  friend bool operator==(const slowdowns&, const slowdowns&) = default;

 private:
  histogram thousandths_;  // a nanosecond stands for a thousandth
};

/// What the requests of a class of work waited.
struct class_result {
  histogram latency = {};
  slowdowns slowdown = {};
  /// Those without an answer, in neither of the two.
  std::uint64_t missing = 0;

  std::uint64_t requests() const noexcept { return latency.count() + missing; }
  nanoseconds percentile(double percent) const noexcept { return latency.percentile(percent, missing); }
  double slowdown_percentile(double percent) const noexcept { return slowdown.percentile(percent, missing); }
  void merge(const class_result& other) noexcept;
};

/// The same of the short and of the long requests of a bimodal distribution.
class class_results {
 public:
  /// Nothing if there is one class only.
  static std::optional<class_results> of(const service_times& service);

  /// An answered request that asked for so long; `service` is what its slowdown is of.
  void add(nanoseconds asked, nanoseconds latency, nanoseconds service) noexcept;
  /// One that has no answer.
  void miss(nanoseconds asked) noexcept { ++class_of(asked).missing; }
  /// Of requests with the same service times.
  void merge(const class_results& other) noexcept;

  const class_result& short_ones() const noexcept { return short_; }
  const class_result& long_ones() const noexcept { return long_; }
  class_result all() const;

 private:
  explicit class_results(const service_times& service) : service_{service} {}
  class_result& class_of(nanoseconds asked) noexcept { return service_.is_long(asked) ? long_ : short_; }

  service_times service_;
  class_result short_, long_;
};

}  // namespace udppump::load
